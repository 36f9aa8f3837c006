import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ArtifactId,
  artifactId,
  type BulkAddress,
  CHUNK_BYTES,
  type ChunkList,
  type ChunkPlace,
  type ChunkSource,
  type Holding,
  type PeerEntry,
  type PeerId,
  peerId,
  UPLOAD_STREAMS_MAX,
} from '@podmesh/core';
import { onTestFinished } from 'vitest';
import type { ArtifactDisk, PartialArtifact } from './artifact-disk.ts';
import { BulkServer, type BulkServerParts, type BulkSource } from './bulk-server.js';
import { HttpTransport } from './http-transport.ts';
import { systemClock } from './system-clock.ts';
import { Transfers } from './transfers.ts';

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-transfer-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What lies in a folder that may not be there. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}

export const hexOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');
export const idOf = (bytes: Uint8Array): ArtifactId => artifactId(`sha256:${hexOf(bytes)}`);

export function chunkListOf(bytes: Uint8Array): ChunkList {
  const digests: string[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    digests.push(hexOf(bytes.subarray(at, at + CHUNK_BYTES)));
  }
  return { bytes: bytes.length, digests };
}

/** As many chunks and half a one of random bytes. */
export function sampleBytes(chunks: number): { readonly bytes: Buffer; readonly id: ArtifactId } {
  const bytes = randomBytes(chunks * CHUNK_BYTES + CHUNK_BYTES / 2);
  return { bytes, id: idOf(bytes) };
}

/** A source that gives what it is told to give, whatever the name. */
export function sourceOf(bytes: Uint8Array, change: Partial<ChunkSource> = {}): ChunkSource {
  let list: ChunkList | undefined;
  return {
    chunkList: async () => {
      list ??= chunkListOf(bytes);
      return list;
    },
    read: async ({ offset, bytes: length }: ChunkPlace) => bytes.slice(offset, offset + length),
    ...change,
  };
}

/** What a server serves of it, all of it whole. */
export function bulkSourceOf(source: ChunkSource): BulkSource {
  const named = (hex: string) => artifactId(`sha256:${hex}`);
  const chunkList = (hex: string) => source.chunkList(named(hex));
  return {
    chunkList,
    find: async (hex) => {
      const list = await chunkList(hex);
      return list === undefined ? undefined : { bytes: list.bytes, isWhole: true };
    },
    open: async (hex) => {
      const artifact = named(hex);
      const total = (await chunkList(hex))?.bytes ?? 0;
      let chunk: { readonly index: number; readonly bytes: Uint8Array | undefined } | undefined;
      return {
        read: async (into, at, length, position) => {
          const index = Math.floor(position / CHUNK_BYTES);
          const offset = index * CHUNK_BYTES;
          if (chunk?.index !== index) {
            const bytes = Math.min(CHUNK_BYTES, total - offset);
            chunk = { index, bytes: await source.read({ artifact, index, offset, bytes }) };
          }
          const piece = chunk.bytes?.subarray(position - offset, position - offset + length);
          into.set(piece ?? [], at);
          return { bytesRead: piece?.length ?? 0 };
        },
        close: async () => undefined,
      };
    },
  };
}

/** A server on this machine; not started. */
export function newServer(
  peer: PeerId,
  change: Partial<BulkServerParts> & Pick<BulkServerParts, 'source'>,
): BulkServer {
  const limits = { streamsMax: UPLOAD_STREAMS_MAX, chunkBytes: CHUNK_BYTES };
  return new BulkServer({ peer, key: 'key', host: '127.0.0.1', port: 0, ...limits, ...change });
}

/** A disk in memory that counts, and keeps what was here over tries. */
export class MemoryDisk implements ArtifactDisk {
  readonly whole = new Map<ArtifactId, Uint8Array>();
  readonly puts: number[] = [];
  readonly #parts = new Map<string, Map<number, Uint8Array>>();
  open = 0;

  /** Vitest compares megabytes one byte at a time. */
  hasBytes(artifact: ArtifactId, bytes: Uint8Array): boolean {
    return Buffer.compare(this.whole.get(artifact) ?? Buffer.of(), bytes) === 0;
  }

  async has(artifact: ArtifactId): Promise<boolean> {
    return this.whole.has(artifact);
  }

  async chunkList(artifact: ArtifactId): Promise<ChunkList | undefined> {
    const bytes = this.whole.get(artifact);
    return bytes === undefined ? undefined : chunkListOf(bytes);
  }

  async read({ artifact, offset, bytes }: ChunkPlace): Promise<Uint8Array | undefined> {
    return this.whole.get(artifact)?.slice(offset, offset + bytes);
  }

  async begin(artifact: ArtifactId, list: ChunkList): Promise<PartialArtifact> {
    if (this.open > 0) throw new Error('two at a time');
    this.open += 1;
    const key = `${artifact} ${list.digests.join()}`;
    const parts = this.#parts.get(key) ?? new Map<number, Uint8Array>();
    this.#parts.set(key, parts);
    return {
      get here() {
        return new Set(parts.keys());
      },
      put: async (index, bytes) => {
        this.puts.push(index);
        if (hexOf(bytes) !== list.digests[index]) return 'corrupt';
        // The memory is used again.
        parts.set(index, new Uint8Array(bytes));
        return 'here';
      },
      commit: async () => {
        this.open -= 1;
        this.#parts.delete(key);
        const bytes = Buffer.concat(
          list.digests.map((_, index) => parts.get(index) ?? Buffer.of()),
        );
        if (idOf(bytes) !== artifact) return 'corrupt';
        this.whole.set(artifact, bytes);
        return 'stored';
      },
      close: async () => {
        this.open -= 1;
      },
    };
  }
}

/** Peers with real servers on this machine, and what a directory and their answers tell of them. */
export class Neighbours {
  readonly #addresses = new Map<PeerId, BulkAddress>();
  readonly #servers = new Map<string, BulkServer>();
  #holdings: Holding[] = [];

  /** A peer that serves `source`, and says that it has `artifact` if that is given. */
  async add(name: string, source: ChunkSource, artifact?: ArtifactId): Promise<BulkServer> {
    const peer = peerId(name);
    const key = randomBytes(16).toString('hex');
    const server = newServer(peer, { key, source: bulkSourceOf(source) });
    await server.start();
    onTestFinished(() => server.stop());
    this.#servers.set(name, server);
    this.tell(name, { urls: [server.url], key });
    if (artifact !== undefined) this.hold(name, artifact);
    return server;
  }

  /** Kills its server; nobody answers for it any more. */
  async remove(name: string): Promise<void> {
    await this.#servers.get(name)?.stop();
    this.#holdings = this.#holdings.filter(({ peer }) => peer !== name);
  }

  tell(name: string, address: BulkAddress): void {
    this.#addresses.set(peerId(name), address);
  }

  address(name: string): BulkAddress {
    const address = this.#addresses.get(peerId(name));
    if (address === undefined) throw new Error(`no peer ${name}`);
    return address;
  }

  hold(name: string, artifact: ArtifactId, whole = true): void {
    this.#holdings.push({ artifact, peer: peerId(name), bytes: 1, whole });
  }

  peers() {
    const find = async (peer: PeerId) => {
      const bulk = this.#addresses.get(peer);
      return bulk === undefined ? undefined : ({ peer, bulk } as PeerEntry);
    };
    return { find };
  }

  /** `script` stands in for the thread's program. */
  transport(script?: URL): HttpTransport {
    const transport = new HttpTransport({
      peers: this.peers(),
      clock: systemClock,
      ...(script === undefined ? {} : { script }),
    });
    onTestFinished(() => transport.stop());
    return transport;
  }

  finder() {
    const whoHas = async (artifacts: readonly ArtifactId[]) => ({
      found: new Map(
        artifacts.map((id) => [id, this.#holdings.filter(({ artifact }) => artifact === id)]),
      ),
      silent: [],
    });
    return { whoHas };
  }

  transfers(disk: ArtifactDisk, script?: URL): Transfers {
    const transfers = new Transfers({
      peer: peerId('fetcher'),
      disk,
      finder: this.finder(),
      transport: this.transport(script),
      clock: systemClock,
    });
    onTestFinished(() => transfers.stop());
    return transfers;
  }
}
