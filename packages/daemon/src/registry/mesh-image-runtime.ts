import {
  type ContainerRuntime,
  type ContainerSpec,
  type ImageProblem,
  type LogSink,
  type MeshReference,
  type Mirror,
  meshReferenceText,
  mirroredReference,
  type PeerId,
  type PullProgress,
  parseMeshReference,
  type Result,
  type RunningContainer,
  type RuntimeDescription,
  refused,
  type StartProblem,
} from '@podmesh/core';
import { UpstreamError } from '@podmesh/registry';
import type { MeshImages } from './mesh-images.ts';

export interface MeshImageRuntimeParts {
  readonly runtime: ContainerRuntime;
  readonly images: MeshImages;
  readonly arch: string;
  /** Registries whose images come through the mesh. */
  readonly mirrors: readonly Mirror[];
  /** Of this peer's own registry; 0: it has none. */
  readonly port: () => number;
}

/** A runtime for which images of the mesh are like all others: Podman pulls them from its own peer. */
export class MeshImageRuntime implements ContainerRuntime {
  readonly #parts: MeshImageRuntimeParts;
  readonly #runtime: ContainerRuntime;

  constructor(parts: MeshImageRuntimeParts) {
    this.#parts = parts;
    this.#runtime = parts.runtime;
  }

  describe(): Promise<RuntimeDescription> {
    return this.#runtime.describe();
  }

  images(): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.#runtime.images();
  }

  async resolveImage(
    reference: string,
    pull: false | PullProgress,
    signal: AbortSignal,
  ): Promise<Result<string, ImageProblem>> {
    const port = this.#parts.port();
    const named = parseMeshReference(reference, port === 0 ? undefined : port);
    if (named !== undefined) return await this.#resolve(named, pull, signal);
    const mirrored = mirroredReference(reference, this.#parts.mirrors);
    if (mirrored === undefined) return await this.#runtime.resolveImage(reference, pull, signal);
    // What people gave Podman themselves under that name is what they mean.
    const here = await this.#runtime.resolveImage(reference, false, signal);
    return here.ok ? here : await this.#resolve(mirrored, pull, signal);
  }

  loadImage(archivePath: string, signal: AbortSignal): Promise<Result<string, ImageProblem>> {
    return this.#runtime.loadImage(archivePath, signal);
  }

  start(
    spec: ContainerSpec,
    log: LogSink,
    signal: AbortSignal,
  ): Promise<Result<RunningContainer, StartProblem>> {
    return this.#runtime.start(spec, log, signal);
  }

  leftovers(peer: PeerId): Promise<readonly RunningContainer[]> {
    return this.#runtime.leftovers(peer);
  }

  probe(peer: PeerId, signal: AbortSignal): Promise<string | undefined> {
    return this.#runtime.probe(peer, signal);
  }

  async #resolve(
    named: MeshReference,
    pull: false | PullProgress,
    signal: AbortSignal,
  ): Promise<Result<string, ImageProblem>> {
    const { images, arch, port } = this.#parts;
    const name = meshReferenceText(named);
    const found = await images
      .find(named, arch, signal, pull !== false)
      .catch((error: unknown) => notMirrored(name, error));
    if (!found.ok) return found;
    const { image, manifest } = found.value;
    const here = await this.#runtime.resolveImage(image, false, signal);
    if (here.ok || here.error.kind === 'platform' || pull === false) return here;
    if (port() === 0) return refused(noRegistry(name));
    // First all of it, then Podman: it gives up a registry that is silent, as one is that fetches from afar.
    const brought = await images.bring(name, found.value, { progress: pull, signal });
    if (!brought.ok) return brought;
    try {
      const local = `127.0.0.1:${port()}/${named.repository}@${manifest}`;
      return await this.#runtime.resolveImage(local, pull, signal);
    } finally {
      brought.value();
    }
  }
}

/** What the other registry said; whatever else went wrong is not the image's doing. */
function notMirrored(name: string, error: unknown): Result<never, ImageProblem> {
  if (!(error instanceof UpstreamError)) throw error;
  const message = `this mesh has no image ${name}, and ${error.message}`;
  return refused({ kind: 'unavailable', message });
}

function noRegistry(name: string): ImageProblem {
  const message =
    `image ${name} is in this mesh, but this peer was started without a registry (--registry-port 0), ` +
    'from which its Podman could pull it';
  return { kind: 'unavailable', message };
}
