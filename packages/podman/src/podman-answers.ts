/** The parts of Podman's answers that are used here. They come from the local service and are trusted in shape. */

export interface ContainerAnswer {
  readonly Id: string;
  readonly State: {
    /** created, initialized, running, paused, stopping, stopped, exited, removing, … */
    readonly Status: string;
    readonly ExitCode: number;
    readonly OOMKilled: boolean;
    readonly StartedAt: string;
    readonly FinishedAt: string;
    readonly Pid: number;
  };
  readonly Mounts?: readonly { readonly Source: string; readonly Destination: string }[];
  readonly HostConfig: { readonly CgroupParent?: string };
  readonly GraphDriver?: GraphDriverAnswer;
  readonly Config: { readonly Labels?: Readonly<Record<string, string>> };
}

/** Where the layers of a container or an image are. */
export interface GraphDriverAnswer {
  readonly Name?: string;
  readonly Data?: { readonly UpperDir?: string; readonly LowerDir?: string } | null;
}

/** libpod's own answer about a container. */
export interface RecipeAnswer {
  readonly OCIConfigPath?: string;
  readonly State?: { readonly Pid?: number };
  readonly GraphDriver?: GraphDriverAnswer;
  /** Before it was initialised: those that Podman was told, or took from the image or containers.conf. */
  readonly Config?: { readonly Annotations?: Readonly<Record<string, string>> | null };
  readonly Mounts?: readonly { readonly Type?: string; readonly Destination: string }[];
}

export interface ImageAnswer {
  readonly Id: string;
  readonly Architecture: string;
  readonly Os: string;
  readonly RepoTags?: readonly string[] | null;
  readonly RepoDigests?: readonly string[] | null;
  readonly Config?: {
    readonly Entrypoint?: readonly string[] | null;
    readonly Cmd?: readonly string[] | null;
    readonly Healthcheck?: object | null;
  };
  readonly GraphDriver?: GraphDriverAnswer;
  /** Of the manifest that came last with this id; only libpod tells. */
  readonly Annotations?: Readonly<Record<string, string>> | null;
}

/** libpod's own answer about an image: the id is bare, and the health check beside the configuration. */
export type LibpodImageAnswer = ImageAnswer & { readonly Healthcheck?: object | null };

export interface ImageListAnswer {
  readonly Id: string;
  readonly RepoTags?: readonly string[] | null;
  readonly RepoDigests?: readonly string[] | null;
}

export interface ContainerListAnswer {
  readonly Id: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

export interface InfoAnswer {
  readonly host: {
    readonly arch: string;
    readonly cgroupControllers?: readonly string[] | null;
    readonly cgroupManager: string;
    readonly cgroupVersion: string;
    /** Since Podman 5. */
    readonly rootlessNetworkCmd?: string;
    readonly ociRuntime: {
      readonly name: string;
      readonly path?: string;
      readonly version?: string;
    };
    readonly security: { readonly rootless: boolean; readonly selinuxEnabled?: boolean };
  };
  readonly store: {
    readonly graphDriverName: string;
    readonly graphRoot?: string;
    /** Also tells, in `Native Overlay Diff` or `overlay.mount_program`, whether FUSE is in between. */
    readonly graphOptions?: Readonly<Record<string, unknown>> | null;
  };
  readonly version: { readonly Version: string };
}
