import type { Readable } from 'node:stream';
import type { PullProgress } from '@podmesh/core';
import { needsNoTls, registryOf } from './image-name.ts';
import { ImagePuller, type PullLimits, type PullSource } from './image-puller.ts';
import { type AskForImages, listAround } from './list-images.ts';
import type { ImageAnswer, ImageListAnswer, LibpodImageAnswer } from './podman-answers.ts';
import { LIBPOD, type PodmanConnection } from './podman-connection.ts';
import { isStatus, PodmanRefusedError } from './podman-errors.ts';
import * as limits from './podman-limits.ts';

/** Told once of each image that Podman cannot read, with Podman's words. */
export type OnBrokenImage = (image: string, reason: string) => void;

/** The calls about images, each with its own deadline. */
export class PodmanImageApi implements PullSource {
  readonly socketPath: string;
  readonly #podman: PodmanConnection;
  readonly #puller: ImagePuller;
  readonly #onBroken: OnBrokenImage;
  readonly #toldBroken = new Set<string>();
  #arriving = 0;
  #arrivals = 0;

  constructor(
    podman: PodmanConnection,
    pullLimits: Partial<PullLimits> = {},
    onBroken: OnBrokenImage = () => undefined,
  ) {
    this.socketPath = podman.socketPath;
    this.#podman = podman;
    this.#onBroken = onBroken;
    this.#puller = new ImagePuller(this, pullLimits);
  }

  /** Undefined also for what cannot be the name of an image. */
  async find(name: string): Promise<ImageAnswer | undefined> {
    try {
      return (await this.#podman.call({
        what: `inspect image ${name}`,
        method: 'GET',
        path: `/images/${encodeURIComponent(name)}/json`,
        deadlineMs: limits.QUERY_MS_MAX,
      })) as ImageAnswer;
    } catch (error) {
      const isName = !(error instanceof PodmanRefusedError && /invalid ref/i.test(error.reason));
      if (isStatus(error, 404) || !isName) return undefined;
      throw error;
    }
  }

  /** By id, with the manifest's annotations, which the Docker-compatible answer leaves out; undefined when it is gone. */
  async inspect(id: string): Promise<ImageAnswer | undefined> {
    try {
      const answer = (await this.#podman.call({
        what: `inspect image ${id}`,
        method: 'GET',
        path: `${LIBPOD}/images/${encodeURIComponent(id)}/json`,
        deadlineMs: limits.QUERY_MS_MAX,
      })) as LibpodImageAnswer;
      const { Healthcheck } = answer;
      const Config = Healthcheck ? { ...answer.Config, Healthcheck } : answer.Config;
      return { ...answer, Id: `sha256:${answer.Id}`, ...(Config ? { Config } : {}) };
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  /** Counts when an image begins to come into the store, and when that ends. */
  get arrivals(): number {
    return this.#arrivals;
  }

  /** Whether no image has come through here since `arrivals` was that, and none is coming. */
  isQuietSince(arrivals: number): boolean {
    return this.#arriving === 0 && this.#arrivals === arrivals;
  }

  /** Without broken ones; each of those is told once. */
  async list(): Promise<readonly ImageListAnswer[]> {
    const { images, broken } = await listAround((between) => this.#list(between));
    for (const { id, reason } of broken) {
      if (!this.#toldBroken.has(id)) this.#onBroken(id, reason);
      this.#toldBroken.add(id);
    }
    return images;
  }

  async #list({ since, before }: Parameters<AskForImages>[0]): Promise<readonly ImageListAnswer[]> {
    const filters = {
      ...(since === undefined ? {} : { since: [since] }),
      ...(before === undefined ? {} : { before: [before] }),
    };
    return (await this.#podman.call({
      what: 'list images',
      method: 'GET',
      path: '/images/json',
      query: Object.keys(filters).length === 0 ? {} : { filters: JSON.stringify(filters) },
      deadlineMs: limits.QUERY_MS_MAX,
    })) as readonly ImageListAnswer[];
  }

  /** Resolves when pulled, by one pull for all who want it; see `ImagePuller`. */
  pull(reference: string, progress: PullProgress, signal: AbortSignal): Promise<void> {
    return this.#arrive(() => this.#puller.pull(reference, progress, signal));
  }

  /**
   * Podman's words about a new pull, as JSON lines. The Docker-compatible half counts bytes, but takes every
   * short name for one of Docker's own registry, and knows no registry without TLS; those go through libpod.
   */
  async openPull(reference: string, signal: AbortSignal): Promise<Readable> {
    const tls = needsNoTls(reference) ? { tlsVerify: false } : {};
    const isWhole = registryOf(reference) !== undefined && !needsNoTls(reference);
    return await this.#podman.open({
      what: `pull image ${reference}`,
      method: 'POST',
      path: isWhole ? '/images/create' : `${LIBPOD}/images/pull`,
      query: isWhole ? { fromImage: reference } : { reference, compatMode: true, ...tls },
      deadlineMs: limits.STREAM_OPEN_MS_MAX,
      signal,
    });
  }

  /** Where short names are looked for, in the machine's configuration of Podman. */
  async searchRegistries(): Promise<readonly string[]> {
    const info = (await this.#podman.call({
      what: 'ask about this machine',
      method: 'GET',
      path: `${LIBPOD}/info`,
      deadlineMs: limits.QUERY_MS_MAX,
    })) as { readonly registries?: { readonly search?: readonly string[] | null } | null };
    return info.registries?.search ?? [];
  }

  /** The names (or `sha256:…` ids) of the images that the archive held. */
  async load(archive: NodeJS.ReadableStream, signal: AbortSignal): Promise<readonly string[]> {
    const answer = await this.#arrive(() =>
      this.#podman.call({
        what: 'load an image archive',
        method: 'POST',
        path: `${LIBPOD}/images/load`,
        upload: archive,
        deadlineMs: limits.IMAGE_TRANSFER_MS_MAX,
        signal,
      }),
    );
    return (answer as { Names?: readonly string[] }).Names ?? [];
  }

  /** Takes a name away; the image itself stays. */
  async untag(id: string, repository: string, tag: string): Promise<void> {
    await this.#podman.call({
      what: `untag image ${repository}:${tag}`,
      method: 'POST',
      path: `${LIBPOD}/images/${encodeURIComponent(id)}/untag`,
      query: { repo: repository, tag },
      deadlineMs: limits.QUERY_MS_MAX,
    });
  }

  async tag(id: string, repository: string, tag: string): Promise<void> {
    await this.#podman.call({
      what: `tag image ${repository}:${tag}`,
      method: 'POST',
      path: `/images/${encodeURIComponent(id)}/tag`,
      query: { repo: repository, tag },
      deadlineMs: limits.QUERY_MS_MAX,
    });
  }

  async #arrive<T>(bring: () => Promise<T>): Promise<T> {
    this.#arriving += 1;
    this.#arrivals += 1;
    try {
      return await bring();
    } finally {
      this.#arriving -= 1;
      this.#arrivals += 1;
    }
  }
}
