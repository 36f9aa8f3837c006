import type { Clock } from '@podmesh/core';
import type { OwnCertificate } from '@podmesh/transfer';
import type { Logger } from 'pino';
import { ensureOwnCertificates, type OwnCertificates } from './own-certificates.ts';

const DAY_MS = 24 * 60 * 60_000;

export interface OwnRenewalsParts extends Omit<OwnCertificates, 'nowMs'> {
  /** The server here has another certificate to read. */
  readonly onServerCertificate: () => void;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly logger: Logger;
}

type Listener = (own: OwnCertificate) => Promise<void>;

/** Looks once a day at the certificates of the machine with the keys: a daemon may be up for longer than they are good. */
export class OwnRenewals {
  readonly #parts: OwnRenewalsParts;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<Listener>();
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: OwnRenewalsParts) {
    this.#parts = parts;
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#loop = this.#run();
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** Told of each certificate with which this machine is a member from then on. */
  onCertificate(listener: Listener): void {
    this.#listeners.add(listener);
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(DAY_MS, signal);
      if (signal.aborted) return;
      await this.#look().catch((error: unknown) =>
        logger.warn({ err: error }, 'could not renew the certificates here; tries tomorrow'),
      );
    }
  }

  async #look(): Promise<void> {
    const { folder, now, onServerCertificate } = this.#parts;
    const before = await folder.certificates();
    const { isNew } = await ensureOwnCertificates({ ...this.#parts, nowMs: now() });
    if (isNew) onServerCertificate();
    const own = await folder.certificates();
    if (own?.key === undefined || own.certificate === undefined) return;
    if (own.certificate === before?.certificate) return;
    const { ca, certificate: cert, key } = own;
    for (const tell of this.#listeners) await tell({ ca, cert, key });
  }
}
