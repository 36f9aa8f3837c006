import type { Readable } from 'node:stream';
import type {
  ContainerRuntime,
  ContainerSpec,
  ImageProblem,
  LogSink,
  PeerId,
  PullProgress,
  Result,
  RunningContainer,
  RuntimeDescription,
  StartProblem,
} from '@podmesh/core';
import { ok, refused } from '@podmesh/core';
import { runCanary } from './canary.ts';
import { type BodyContext, containerBody } from './container-body.ts';
import type { AttemptCgroup } from './container-cgroup.ts';
import { PEER_LABEL, readLabels } from './container-labels.ts';
import { awaitLaunch, FD_DIRECTORY, outputFds, prepareFdLaunch } from './fd-launcher.ts';
import type { Env } from './find-socket.ts';
import { checkAnnotations, handsAnnotationsOn } from './image-annotations.ts';
import type { ImageAnswer } from './podman-answers.ts';
import { PodmanApi } from './podman-api.ts';
import { PodmanContainer } from './podman-container.ts';
import { PodmanAbortedError, PodmanRefusedError } from './podman-errors.ts';
import { type PodmanHost, readHost } from './podman-host.ts';
import type { OnBrokenImage } from './podman-image-api.ts';
import { listImages, loadImage, resolveImage } from './podman-images.ts';
import { IMAGES_REMEMBERED_MAX } from './podman-limits.ts';
import { startProblem } from './start-problem.ts';
import { findStaticBusybox } from './static-busybox.ts';
import { linkTaskSocket } from './task-socket.ts';

type Started = Result<RunningContainer, StartProblem>;

/** Containers through the API of a rootless Podman service, at the socket that a `PodmanService` found. */
export class PodmanRuntime implements ContainerRuntime {
  /** For the fast lane, which shares Podman's service with this one. */
  readonly api: PodmanApi;
  readonly #busyboxPath: string | undefined;
  readonly #env: Env;
  #host: Promise<PodmanHost> | undefined;
  #busybox: Promise<string | undefined> | undefined;
  /** By image id, which is the digest of what is remembered. */
  readonly #configs = new Map<string, ImageAnswer['Config']>();
  /** Cgroups of containers that are being started or were not removed yet: not stale, though maybe empty. */
  readonly #cgroups = new Set<string>();

  /** The environment tells where the user's systemd answers; without it there are no usage figures of its cgroups. */
  constructor(options: {
    readonly socketPath: string;
    readonly busyboxPath?: string;
    readonly env?: Env;
    readonly onBrokenImage?: OnBrokenImage | undefined;
  }) {
    this.api = new PodmanApi(options.socketPath, options.onBrokenImage);
    this.#busyboxPath = options.busyboxPath;
    this.#env = options.env ?? {};
  }

  async describe(): Promise<RuntimeDescription> {
    return (await this.#machine()).description;
  }

  images(): Promise<ReadonlyMap<string, readonly string[]>> {
    return listImages(this.api.images);
  }

  async resolveImage(
    reference: string,
    pull: false | PullProgress,
    signal: AbortSignal,
  ): Promise<Result<string, ImageProblem>> {
    const { arch } = await this.describe();
    return await resolveImage(this.api.images, arch, reference, { pull, signal });
  }

  async loadImage(archivePath: string, signal: AbortSignal): Promise<Result<string, ImageProblem>> {
    const { arch } = await this.describe();
    return await loadImage(this.api.images, arch, archivePath, signal);
  }

  async start(spec: ContainerSpec, log: LogSink, signal: AbortSignal): Promise<Started> {
    const host = await this.#machine();
    const cgroup = host.cgroups?.of(spec.labels.peer, spec.labels.claim);
    const image = await this.#configOf(spec.image);
    const launch = await this.#launchOf(spec, image);
    if (launch !== undefined && !launch.ok) return launch;
    const context: BodyContext = {
      ...(launch === undefined ? {} : { launch: launch.value }),
      hasHealthcheck: Boolean(image?.Healthcheck),
      limitsEnforced: host.description.limits.memory === 'kernel',
      selinux: host.selinux,
      network: host.network,
      ...(cgroup === undefined ? {} : { cgroupParent: cgroup.parent }),
    };
    if (cgroup !== undefined) this.#cgroups.add(cgroup.path);
    let id: string | undefined;
    try {
      const { arrivals } = this.api.images;
      id = await this.api.create(containerBody(spec, context), signal);
      if (handsAnnotationsOn(host.description.version)) {
        const orders = await checkAnnotations(this.api, { id, image: spec.image, arrivals });
        if (orders !== undefined) {
          await this.#discard(id, cgroup);
          return refused(orders);
        }
      }
      // From here on crun knows the container.
      const stream = await this.api.attach(id, signal);
      await this.#makeReady(id, spec);
      await this.#startOrDetach(id, stream, signal);
      const container = new PodmanContainer(this.api, {
        id,
        labels: spec.labels,
        attached: { log, stream },
        ...(context.launch === undefined ? {} : { fdDirectory: context.launch.directory }),
        ...(cgroup === undefined ? {} : this.#owned(cgroup)),
      });
      const problem = await launchProblem(spec, context, container, signal);
      if (problem === undefined) return ok(container);
      await container.remove();
      return refused(problem);
    } catch (error) {
      await this.#discard(id, cgroup);
      if (error instanceof PodmanRefusedError) return refused(startProblem(error.reason));
      throw error;
    }
  }

  async leftovers(peer: PeerId): Promise<readonly RunningContainer[]> {
    const listed = await this.api.list(`${PEER_LABEL}=${peer}`);
    const adopted: RunningContainer[] = [];
    const { cgroups } = await this.#machine();
    const found = new Set<string>();
    for (const { Id, Labels } of listed) {
      const labels = readLabels(Labels ?? undefined);
      const answer = labels === undefined ? undefined : await this.api.inspect(Id);
      if (labels === undefined || answer === undefined) continue;
      const fdDirectory = answer.Mounts?.find(
        (mount) => mount.Destination === FD_DIRECTORY,
      )?.Source;
      const cgroup = cgroups?.adopt(answer.HostConfig.CgroupParent, peer);
      if (cgroup !== undefined) found.add(cgroup.path);
      adopted.push(
        new PodmanContainer(this.api, {
          id: Id,
          labels,
          ...(fdDirectory === undefined ? {} : { fdDirectory }),
          ...(cgroup === undefined ? {} : this.#owned(cgroup)),
        }),
      );
    }
    const kept = { has: (path: string) => found.has(path) || this.#cgroups.has(path) };
    await cgroups?.removeStale(peer, kept);
    return adopted;
  }

  async probe(peer: PeerId, signal: AbortSignal): Promise<string | undefined> {
    this.#busybox ??= findStaticBusybox(this.#busyboxPath ? [this.#busyboxPath] : undefined);
    const busybox = await this.#busybox;
    if (busybox === undefined)
      return 'the canary needs a statically linked busybox on this machine';
    return await runCanary(this, peer, busybox, signal);
  }

  /** Gives idle connections back. Containers are left as they are. */
  close(): void {
    this.api.close();
    this.#host?.then(
      ({ cgroups }) => cgroups?.close(),
      () => undefined,
    );
  }

  /** Asked once; asked again after a failure. */
  #machine(): Promise<PodmanHost> {
    this.#host ??= this.api.info().then((info) => readHost(info, this.#env));
    this.#host.catch(() => {
      this.#host = undefined;
    });
    return this.#host;
  }

  /** Undefined also of an image that is gone, which creating the container says. */
  async #configOf(id: string): Promise<ImageAnswer['Config']> {
    if (this.#configs.has(id)) return this.#configs.get(id);
    const answer = await this.api.images.inspect(id);
    if (answer === undefined) return undefined;
    if (this.#configs.size >= IMAGES_REMEMBERED_MAX) this.#configs.clear();
    this.#configs.set(id, answer.Config);
    return answer.Config;
  }

  async #launchOf(
    spec: ContainerSpec,
    image: ImageAnswer['Config'],
  ): Promise<Result<NonNullable<BodyContext['launch']>, StartProblem> | undefined> {
    const fds = outputFds(spec.outputs);
    if (fds.length === 0 && spec.secretEnv === undefined) return undefined;
    this.#busybox ??= findStaticBusybox(this.#busyboxPath ? [this.#busyboxPath] : undefined);
    const busybox = await this.#busybox;
    if (busybox === undefined) {
      const message =
        'outputs of the kind fd, and secret variables, need a statically linked busybox on this machine. ' +
        'Install it (Debian: apt-get install busybox-static) and start podmesh again';
      return refused({ kind: 'runtime', message });
    }
    const own = [...(image?.Entrypoint ?? []), ...(image?.Cmd ?? [])];
    const command = spec.command?.length ? spec.command : own;
    if (command.length === 0) return refused(startProblem('no command or entrypoint provided'));
    return ok({ ...(await prepareFdLaunch(spec.scratchDir, fds, command, spec)), busybox });
  }

  async #makeReady(id: string, { socketDir, onReady }: ContainerSpec): Promise<void> {
    if (socketDir === undefined && onReady === undefined) return;
    const { Pid: pid = 0 } = (await this.api.inspect(id))?.State ?? {};
    if (pid === 0) return;
    if (socketDir !== undefined) await linkTaskSocket(pid);
    await onReady?.(pid);
  }

  async #startOrDetach(id: string, attached: Readable, signal: AbortSignal): Promise<void> {
    try {
      await this.api.start(id, signal);
    } catch (error) {
      attached.destroy();
      throw error;
    }
  }

  /** A start that failed leaves nothing; what cannot be removed now is found by its label later. */
  async #discard(id: string | undefined, cgroup: AttemptCgroup | undefined): Promise<void> {
    if (id !== undefined) await this.api.remove(id).catch(() => undefined);
    if (cgroup !== undefined) await this.#owned(cgroup).onRemoved();
  }

  #owned(cgroup: AttemptCgroup): { cgroup: AttemptCgroup; onRemoved: () => Promise<void> } {
    const onRemoved = async () => {
      await (await this.#machine()).cgroups?.remove(cgroup);
      this.#cgroups.delete(cgroup.path);
    };
    return { cgroup, onRemoved };
  }
}

/** The launcher finds out inside what the OCI runtime finds out without it: whether the program is there. */
async function launchProblem(
  spec: ContainerSpec,
  context: BodyContext,
  container: RunningContainer,
  signal: AbortSignal,
): Promise<StartProblem | undefined> {
  if (context.launch === undefined) return undefined;
  const program = context.launch.argv[5] ?? spec.command?.[0] ?? '';
  try {
    switch (await awaitLaunch(context.launch.directory, container.wait(), signal)) {
      case 'started':
        return undefined;
      case 'missing':
        return startProblem(`executable file ${JSON.stringify(program)} not found in the image`);
      case 'ended':
        return startProblem('the launcher could not open the descriptors of its outputs');
    }
  } catch (error) {
    if (signal.aborted) throw new PodmanAbortedError('start a container', error);
    throw error;
  }
}
