import type { ImageAnswer, ImageListAnswer } from './podman-answers.ts';
import { LIBPOD, type PodmanConnection } from './podman-connection.ts';
import { isStatus, PodmanRefusedError } from './podman-errors.ts';
import * as limits from './podman-limits.ts';

/** The calls about images, each with its own deadline. */
export class PodmanImageApi {
  readonly #podman: PodmanConnection;

  constructor(podman: PodmanConnection) {
    this.#podman = podman;
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

  async list(): Promise<readonly ImageListAnswer[]> {
    return (await this.#podman.call({
      what: 'list images',
      method: 'GET',
      path: '/images/json',
      deadlineMs: limits.QUERY_MS_MAX,
    })) as readonly ImageListAnswer[];
  }

  /** Resolves when pulled; throws `PodmanRefusedError` with the registry's words otherwise. */
  async pull(reference: string, signal: AbortSignal): Promise<void> {
    const progress = await this.#podman.call({
      what: `pull image ${reference}`,
      method: 'POST',
      path: `${LIBPOD}/images/pull`,
      query: { reference, quiet: true },
      deadlineMs: limits.IMAGE_TRANSFER_MS_MAX,
      signal,
    });
    // The status was sent before the pull began, so a failure comes as a line of the answer.
    const problem = problemIn(progress);
    if (problem !== undefined) throw new PodmanRefusedError(`pull ${reference}`, 404, problem);
  }

  /** The names (or `sha256:…` ids) of the images that the archive held. */
  async load(archive: NodeJS.ReadableStream, signal: AbortSignal): Promise<readonly string[]> {
    const answer = (await this.#podman.call({
      what: 'load an image archive',
      method: 'POST',
      path: `${LIBPOD}/images/load`,
      upload: archive,
      deadlineMs: limits.IMAGE_TRANSFER_MS_MAX,
      signal,
    })) as { Names?: readonly string[] };
    return answer.Names ?? [];
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
}

/** Of an answer in JSON lines: the text of the first error. */
function problemIn(answer: unknown): string | undefined {
  const lines = Buffer.isBuffer(answer) ? answer.toString('utf8').split('\n') : [];
  for (const entry of [answer, ...lines.map(parsed)]) {
    if (typeof entry === 'object' && entry !== null && 'error' in entry && entry.error) {
      return String(entry.error);
    }
  }
  return undefined;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
