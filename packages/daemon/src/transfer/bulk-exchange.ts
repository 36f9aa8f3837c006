import { randomBytes } from 'node:crypto';
import type {
  ArtifactFinder,
  BulkAddress,
  ChunkSource,
  ChunkTransport,
  Clock,
  PeerDirectory,
  PeerId,
} from '@podmesh/core';
import {
  EitherTransport,
  HttpTransport,
  type OwnCertificate,
  ServeThread,
  Transfers,
  TransferTally,
} from '@podmesh/transfer';
import type { Logger } from 'pino';
import type { DiskStore } from '../store/disk-store.ts';
import { StoreDisk } from '../store/store-disk.ts';
import { MovedBytes } from './moved-bytes.ts';

/** What of a mesh bytes between peers need. */
export interface BulkMesh {
  readonly peers: Pick<PeerDirectory, 'find' | 'list'>;
  readonly finder: ArtifactFinder;
  readonly relay: ChunkTransport;
  serveRelay(peer: PeerId, source: ChunkSource, signal: AbortSignal): Promise<void>;
}

export interface BulkExchangeParts {
  readonly peer: PeerId;
  readonly mesh: BulkMesh;
  readonly store: DiskStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where this peer serves others directly; undefined: through the server only. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  /** Absent in a mesh without certificates: then nothing is encrypted. */
  readonly own?: OwnCertificate | undefined;
}

/** Rest after an answering loop broke. */
const RETRY_MS = 1_000;

/** This peer's side of bytes between peers: it gets from others, and others get from it. */
export class BulkExchange {
  readonly transfers: Transfers;
  readonly moved = new MovedBytes();
  readonly #parts: BulkExchangeParts;
  readonly #disk: StoreDisk;
  readonly #direct: HttpTransport;
  readonly #stop = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  #server: ServeThread | undefined;
  #bulk: BulkAddress | undefined;

  constructor(parts: BulkExchangeParts) {
    const { peer, mesh, store, clock, logger, own } = parts;
    const tally = new TransferTally();
    this.#parts = parts;
    this.#disk = new StoreDisk(store);
    this.#direct = new HttpTransport({ peers: mesh.peers, clock, own });
    this.transfers = new Transfers({
      peer,
      disk: this.#disk,
      finder: mesh.finder,
      peers: mesh.peers,
      transport: new EitherTransport(this.#direct, mesh.relay, (source, chunk, way) => {
        tally.note(source, chunk, way);
        this.moved.received[way] += chunk.bytes;
      }),
      clock,
      onEnd: (artifact, error) => {
        const counts = { artifact, ...tally.take(artifact) };
        if (error === undefined) logger.debug(counts, 'got an artifact from other peers');
        else logger.debug({ ...counts, err: error }, 'did not get an artifact from other peers');
      },
    });
  }

  /** What the peer's entry in the directory tells; absent while nothing is served directly. */
  get bulk(): BulkAddress | undefined {
    return this.#bulk;
  }

  /** An address that cannot be had is no reason not to take part: there is the relay. */
  async start(): Promise<void> {
    const { peer, listen, logger, mesh, store, clock, own } = this.#parts;
    if (listen !== undefined) {
      // A new key for each session: a restart takes it back from whoever knew the last.
      const key = randomBytes(32).toString('base64url');
      const served = this.moved.countingDirect(this.#disk);
      const all = { peer, key, store: served, clock, logger, own, ...listen };
      const server = new ServeThread(all);
      this.#server = server;
      try {
        this.#bulk = await server.start();
        logger.info({ url: this.#bulk.urls[0] }, 'serves its artifacts to other peers');
      } catch (error) {
        logger.warn({ err: error }, 'cannot serve its artifacts directly; others get them slower');
      }
    }
    const { signal } = this.#stop;
    const relayed = this.moved.countingRelayed(this.#disk);
    this.#loops = Promise.all([
      this.#keep('question who has what', () =>
        mesh.finder.answer(peer, (artifacts) => store.index.holds(artifacts), signal),
      ),
      this.#keep('relay', () => mesh.serveRelay(peer, relayed, signal)),
    ]);
  }

  /** All certificates of this mesh that were taken back. */
  revoke(fingerprints: readonly string[]): void {
    this.#direct.revoke(fingerprints);
    this.#server?.revoke(fingerprints);
  }

  /** Its certificate from now on; connections that are open stay. */
  renew(own: OwnCertificate): void {
    this.#direct.renew(own);
    this.#server?.renew(own);
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#bulk = undefined;
    await this.transfers.stop();
    await this.#direct.stop();
    await this.#server?.stop();
    await this.#loops;
  }

  async #keep(what: string, answer: () => Promise<void>): Promise<void> {
    const { clock, logger } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await answer().catch((error: unknown) => {
        if (!signal.aborted) logger.warn({ err: error }, `cannot answer a ${what}; goes on soon`);
      });
      if (!signal.aborted) await clock.sleep(RETRY_MS, signal);
    }
  }
}
