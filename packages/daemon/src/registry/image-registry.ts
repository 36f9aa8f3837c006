import type { Clock, ImageManifests, ImageTags, PeerId } from '@podmesh/core';
import { REGISTRY_PORT } from '@podmesh/core';
import { type ImageSource, RegistryServer } from '@podmesh/registry';
import type { Logger } from 'pino';
import type { DiskStore } from '../store/disk-store.ts';
import type { ArtifactBlobs } from './artifact-blobs.ts';
import { RegistriesFile } from './registries-file.ts';
import { TagPins } from './tag-pins.ts';

export interface ImageRegistryParts {
  readonly peer: PeerId;
  readonly mesh: { readonly imageTags: ImageTags; readonly imageManifests: ImageManifests };
  readonly store: DiskStore;
  readonly blobs: ArtifactBlobs;
  readonly mirror?: ImageSource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly env: NodeJS.ProcessEnv;
  /** 0: none. Absent: the documented one, or another where that is taken. */
  readonly port: number | undefined;
}

/** The port that was asked for cannot be had. */
class RegistryPortError extends Error {
  constructor(port: number, cause: unknown) {
    const what = cause instanceof Error ? cause.message : String(cause);
    super(
      `cannot serve images on port ${port}: ${what}; give another with --registry-port, or 0 for none`,
      { cause },
    );
  }
}

/** This peer's registry, with all that comes and goes with it. */
export class ImageRegistry {
  readonly #parts: ImageRegistryParts;
  readonly #pins: TagPins;
  readonly #server: RegistryServer | undefined;
  readonly #file: RegistriesFile;

  constructor(parts: ImageRegistryParts) {
    const { peer, mesh, blobs, clock, logger, port } = parts;
    this.#parts = parts;
    const pins = new TagPins({ ...parts, tags: mesh.imageTags });
    this.#pins = pins;
    this.#file = new RegistriesFile(parts.env);
    const registry = {
      peer,
      blobs,
      ...(parts.mirror === undefined ? {} : { mirror: parts.mirror }),
      tags: mesh.imageTags,
      manifests: mesh.imageManifests,
      onTagsChanged: () => pins.refresh(),
      onTrouble: (request: string, error: unknown) =>
        logger.warn({ request, err: error }, 'the registry could not answer'),
      nowMs: () => clock.nowMs(),
    };
    const options = { port: port ?? REGISTRY_PORT, mayBeOther: port === undefined };
    this.#server = port === 0 ? undefined : new RegistryServer(registry, options);
  }

  /** 0: it does not run. */
  get port(): number {
    return this.#server?.port ?? 0;
  }

  /** Throws when the port that was asked for cannot be had. */
  async start(): Promise<void> {
    const { logger, port } = this.#parts;
    await this.#pins.start();
    if (this.#server === undefined) return;
    try {
      await this.#server.start();
    } catch (error) {
      throw new RegistryPortError(port ?? REGISTRY_PORT, error);
    }
    logger.info({ port: this.port }, 'serves images to programs of this machine');
    try {
      await this.#file.write(this.port);
    } catch (error) {
      const advice = 'pushing and pulling needs --tls-verify=false';
      logger.warn({ err: error }, `could not tell Podman about this registry; ${advice}`);
    }
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    await this.#file.remove();
    await this.#server?.stop();
    await this.#pins.stop();
  }
}
