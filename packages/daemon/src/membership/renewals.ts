import { generateKeyPairSync } from 'node:crypto';
import {
  isDue,
  type MeshFolder,
  newRequest,
  parseRenewalAnswer,
  RENEWAL,
  type Renewal,
  type RenewalRefusalKind,
  type RenewalRequest,
  renewalIn,
} from '@podmesh/authority';
import { type Clock, peerId } from '@podmesh/core';
import { openBox, publicKeyText } from '@podmesh/jetstream';
import { type OwnCertificate, ownAddresses } from '@podmesh/transfer';
import type { Logger } from 'pino';
import { WakeUp } from '../wake-up.ts';
import type { TaskKeys } from './task-keys.ts';

export interface RenewalsParts {
  readonly folder: MeshFolder;
  /** Own name. */
  readonly self: string;
  readonly ask: (request: Uint8Array) => Promise<Uint8Array>;
  readonly taskKeys: TaskKeys;
  /** It has another certificate from now on. */
  readonly onCertificate: (own: OwnCertificate) => void;
  /** Its server has one to read; absent: there is no server here. */
  readonly onServerCertificate?: () => void;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly logger: Logger;
}

/** Also when nothing was heard of a change. */
const AGAIN_MS = 12 * 60 * 60_000;
/** Rest after nobody answered: the machine with the keys may be off for days. */
const RETRY_MS = { first: 1_000, most: 60_000 };

/**
 * Keeps what a member has as such good: it asks whoever holds the keys of the mesh at its start, when somebody was revoked,
 * and twice a day. What comes is written down before it is used.
 */
export class Renewals {
  readonly #parts: RenewalsParts;
  readonly #stop = new AbortController();
  readonly #wake = new WakeUp();
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: RenewalsParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** Somebody was revoked: there may be another key. */
  notice(): void {
    this.#wake.ring();
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#parts;
    const { signal } = this.#stop;
    let restMs = RETRY_MS.first;
    while (!signal.aborted) {
      let isDone = false;
      try {
        await this.renew();
        isDone = true;
      } catch (error) {
        logger.debug({ err: error }, 'could not renew what this member has; tries again');
      }
      const waitMs = isDone ? AGAIN_MS : restMs;
      restMs = isDone ? RETRY_MS.first : Math.min(RETRY_MS.most, restMs * 2);
      const rest = new AbortController();
      const either = AbortSignal.any([signal, rest.signal]);
      const slept = clock.sleep(waitMs, either).then(() => rest.abort('over'));
      await this.#wake.next(either);
      rest.abort('over');
      await slept;
    }
  }

  /** Asks once. Throws where nobody answers, or what comes cannot be read. */
  async renew(): Promise<void> {
    const { self, ask, logger } = this.#parts;
    const once = generateKeyPairSync('x25519').privateKey;
    const wish = await this.#wish();
    const request = { ...wish.request, sealFor: publicKeyText(once) };
    const answer = parseRenewalAnswer(await ask(Buffer.from(JSON.stringify(request))));
    if (answer === undefined) throw new Error('the answer is none');
    if (answer.kind === 'refused') {
      if (answer.why === 'unavailable')
        throw new Error('the machine with the keys could not do it');
      logger.error(REFUSED[answer.why]);
      return;
    }
    const box = openBox(answer.sealed, once, { run: RENEWAL, peer: peerId(self) });
    await this.#take(renewalIn(box), wish);
  }

  async #wish(): Promise<Wish> {
    const { folder, self, now } = this.#parts;
    const [own, server] = [await folder.certificates(), await folder.serverCertificate()];
    const isOld = (pem: string | undefined): boolean =>
      own !== undefined && pem !== undefined && isDue(pem, own.ca, now());
    const next = isOld(own?.certificate) ? await newRequest(self) : undefined;
    const nextServer = isOld(server?.certificate) ? await newRequest(self) : undefined;
    return {
      request: {
        version: 1,
        addresses: ownAddresses().slice(0, ADDRESSES_MAX),
        ...(own?.certificate === undefined ? {} : { certificate: own.certificate }),
        ...(next === undefined ? {} : { certificateRequest: next.request }),
        ...(server === undefined ? {} : { serverCertificate: firstOf(server.certificate) }),
        ...(nextServer === undefined ? {} : { serverRequest: nextServer.request }),
      },
      ...(next === undefined ? {} : { key: next.key }),
      ...(nextServer === undefined ? {} : { serverKey: nextServer.key }),
    };
  }

  async #take(
    { taskSigning, ca, certificate, serverCertificate }: Renewal,
    { key, serverKey }: Wish,
  ): Promise<void> {
    const { folder, taskKeys, onCertificate, onServerCertificate, logger } = this.#parts;
    if (taskSigning !== undefined) {
      await folder.setTaskSigning(taskSigning);
      taskKeys.set(taskSigning);
    }
    if (serverCertificate !== undefined && serverKey !== undefined) {
      await folder.setServerCertificate({ certificate: serverCertificate, key: serverKey });
      onServerCertificate?.();
    }
    if (certificate === undefined || key === undefined) return;
    await folder.setCertificates({ ca, certificate, key });
    onCertificate({ ca, cert: certificate, key });
    logger.info('has a new certificate');
  }
}

interface Wish {
  readonly request: Omit<RenewalRequest, 'sealFor'>;
  /** PEM; they stay here. */
  readonly key?: string;
  readonly serverKey?: string;
}

const ADDRESSES_MAX = 32;

/** Behind a server's certificate stands that of the authority. */
function firstOf(chain: string): string {
  return /-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/.exec(chain)?.[0] ?? chain;
}

/** What a person reads in the log of the daemon. */
const REFUSED: Readonly<Record<Exclude<RenewalRefusalKind, 'unavailable'>, string>> = {
  malformed:
    'the machine with the keys of the mesh does not understand how this one asks: use the same version on both',
  'not-a-member':
    'this machine is not a member of the mesh any more: ask its owner for a line (podmesh invite), and podmesh join LINE',
  expired:
    'the certificate of this machine has expired, since it was away for too long: ask the owner of the mesh for a line (podmesh invite), and podmesh join LINE',
};
