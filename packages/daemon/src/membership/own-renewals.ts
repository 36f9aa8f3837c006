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
  /** What the rest of this daemon goes by; commands of this machine renew what is in the folder, too. */
  #told: Told = {};
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: OwnRenewalsParts) {
    this.#parts = parts;
  }

  /** Resolves when it knows with which certificates this daemon begins. */
  async start(): Promise<void> {
    // Unread, they are told again with the first look, which harms nobody.
    this.#told = await this.#inFolder().catch(() => ({}));
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
    const { now, onServerCertificate } = this.#parts;
    await ensureOwnCertificates({ ...this.#parts, nowMs: now() });
    const { own, server } = await this.#inFolder();
    if (server !== this.#told.server) {
      onServerCertificate();
      this.#told = { ...this.#told, server };
    }
    if (own === undefined || own.cert === this.#told.own?.cert) return;
    for (const tell of this.#listeners) await tell(own);
    this.#told = { ...this.#told, own };
  }

  async #inFolder(): Promise<Told> {
    const { folder } = this.#parts;
    const [mine, server] = [await folder.certificates(), await folder.serverCertificate()];
    const { ca, certificate: cert, key } = mine ?? {};
    const isWhole = ca !== undefined && cert !== undefined && key !== undefined;
    return { own: isWhole ? { ca, cert, key } : undefined, server: server?.certificate };
  }
}

interface Told {
  readonly own?: OwnCertificate | undefined;
  /** PEM. */
  readonly server?: string | undefined;
}
