import type { Clock } from '@podmesh/core';
import type { Logger } from 'pino';
import type { DrainOrder } from '../claim/drain.ts';
import type { CloudName } from '../configuration.ts';
import { CLOUD_READERS, type CloudNotice, type MetadataGet } from './cloud-notice.ts';

/** Clouds ask to be looked at as often as this, and say so at least half a minute before. */
const LOOK_MS = 5_000;
const ANSWER_MS_MAX = 2_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** What is left when attempts have been given back: for outputs, and for goodbyes. */
const KEPT_BACK_MS = 15_000;

export interface CloudWatchParts {
  readonly cloud: CloudName | 'auto';
  readonly get: MetadataGet;
  readonly drain: (order: DrainOrder) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Listens for the notice that a cloud takes this machine away, and drains the peer then. */
export class CloudWatch {
  readonly #parts: CloudWatchParts;
  readonly #stop = new AbortController();
  readonly #told = new Set<string>();
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: CloudWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#loop = this.#keepLooking();
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #keepLooking(): Promise<void> {
    const { cloud, clock, logger } = this.#parts;
    const { signal } = this.#stop;
    let known: CloudName | undefined = cloud === 'auto' ? undefined : cloud;
    let isAnswered = true;
    while (!signal.aborted) {
      const looked = known === undefined ? await this.#find() : await this.#look(known);
      known ??= looked?.cloud;
      if (looked?.notice !== undefined) this.#take(looked.notice);
      if (isAnswered && looked === undefined)
        logger.warn(`no notice of a cloud can be read (--cloud ${cloud}); trying on`);
      isAnswered = looked !== undefined;
      await clock.sleep(LOOK_MS, signal);
    }
  }

  /** The first cloud that answers. */
  async #find() {
    for (const cloud of Object.keys(CLOUD_READERS) as CloudName[]) {
      const looked = await this.#look(cloud);
      if (looked !== undefined) return looked;
    }
    return undefined;
  }

  async #look(cloud: CloudName) {
    try {
      return { cloud, notice: await CLOUD_READERS[cloud].read(this.#parts.get) };
    } catch (error) {
      this.#parts.logger.debug({ cloud, err: error }, 'a metadata service does not answer');
      return undefined;
    }
  }

  #take({ id, what, leftMs }: CloudNotice): void {
    if (this.#told.has(id)) return;
    this.#told.add(id);
    this.#parts.logger.warn({ leftMs }, what);
    const deadlineMs = Math.max(0, leftMs - KEPT_BACK_MS);
    const why = 'is taken away by its cloud';
    void this.#parts.drain({ by: what, deadlineMs, why, handOverMs: KEPT_BACK_MS });
  }
}

/** Over HTTP; `PODMESH_METADATA_URL` names another service, for tests and for clouds that are alike. */
export function metadataOverHttp(env: NodeJS.ProcessEnv): MetadataGet {
  return async (base, path, { method = 'GET', headers = {} } = {}) => {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    const url = `${env.PODMESH_METADATA_URL || base}${path}`;
    const response = await fetch(url, { method, headers, signal, redirect: 'error' });
    const text = (await response.text()).slice(0, ANSWER_BYTES_MAX);
    const { status } = response;
    if (!response.ok && status !== 404) throw new Error(`${path} answers ${status}`);
    return { status, text };
  };
}
