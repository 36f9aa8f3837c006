import {
  type ArtifactId,
  artifactId,
  CHUNK_BYTES,
  type ChunkSource,
  type ChunkTransport,
  type PeerId,
  peerId,
} from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { chunkListOf, chunkPlaces, MemoryChunkSource } from '../mesh/memory-chunk-source.ts';
import { freshAction } from '../samples.ts';
import { type Bench, type MakeBench, useBench, within } from './bench.ts';

/** One side gets from the other. */
export interface ChunkTransportBench extends Pick<Bench<unknown>, 'dispose' | 'advance'> {
  readonly transport: ChunkTransport;
  /** Serves until the bench is disposed of; resolves when it can be asked. */
  serve(source: ChunkSource): Promise<PeerId>;
}

/** Longer than a source may stall. */
const ASKED_MS = 15_000;
const KIB = 1024;

/** What every way to another peer's bytes must do, whatever is behind it. */
export function describeChunkTransport(name: string, make: MakeBench<ChunkTransportBench>): void {
  describe(`${name}: ChunkTransport`, () => {
    const use = useBench(make);
    const never = new AbortController().signal;
    const list = (from: PeerId, artifact: ArtifactId, signal = never) =>
      within(use(), ASKED_MS, use().transport.chunkList(from, artifact, signal));

    it.each([1, 256 * KIB, 256 * KIB + 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 77])(
      'gives %i bytes as they are',
      async (size) => {
        const source = new MemoryChunkSource();
        const { ref, bytes } = source.add(someBytes(size));
        const from = await use().serve(source);
        const listed = await list(from, ref.digest);
        expect(listed).toEqual({ ok: true, value: chunkListOf(bytes) });
        const copy = new Uint8Array(size);
        const fetching = chunkPlaces(ref.digest, size).map((place) => {
          const into = copy.subarray(place.offset, place.offset + place.bytes);
          return use().transport.fetch(from, place, into, never);
        });
        const all = await within(use(), ASKED_MS, Promise.all(fetching));
        expect(all.every(({ ok }) => ok)).toBe(true);
        expect(Buffer.from(copy).equals(bytes)).toBe(true);
      },
    );

    it('gives the list of the largest artifact', async () => {
      const digests = Array.from({ length: 16 * KIB }, (_, at) =>
        at.toString(16).padStart(64, 'a'),
      );
      const value = { bytes: digests.length * CHUNK_BYTES, digests };
      const source = { chunkList: async () => value, read: async () => undefined };
      const listed = await list(await use().serve(source), fresh());
      expect(listed.ok && listed.value.bytes).toBe(value.bytes);
      expect(listed.ok && listed.value.digests.join() === digests.join()).toBe(true);
    });

    it('says what is not there', async () => {
      const source = new MemoryChunkSource();
      const { ref, bytes } = source.add(someBytes(1_000));
      source.loseChunk(ref.digest, 0);
      const from = await use().serve(source);
      const refused = { ok: false, error: { kind: 'not-here' } };
      expect(await list(from, fresh())).toEqual(refused);
      expect(await fetchFirst(from, ref.digest, bytes.length)).toEqual(refused);
      expect(await fetchFirst(from, fresh(), 5)).toEqual(refused);
    });

    it('says that a peer cannot be reached', async () => {
      const stranger = peerId(`stranger-${freshAction().slice(-8)}`);
      const refused = { ok: false, error: { kind: 'unreachable' } };
      expect(await list(stranger, fresh())).toMatchObject(refused);
      expect(await fetchFirst(stranger, fresh(), 5)).toMatchObject(refused);
    });

    it('refuses what a source cannot read, or gives with another length', async () => {
      const broken = async () => Promise.reject(new Error('the disk is on fire'));
      const failing = await use().serve({ chunkList: broken, read: broken });
      expect(await list(failing, fresh())).toMatchObject({ ok: false });
      expect(await fetchFirst(failing, fresh(), 5)).toMatchObject({ ok: false });
      const short = async () => Buffer.from('shor');
      const from = await use().serve({ chunkList: async () => undefined, read: short });
      expect(await fetchFirst(from, fresh(), 5)).toMatchObject({ ok: false });
    });

    it('leaves a source that stalls, and goes on with it later', async () => {
      const gate = gated(someBytes(9));
      const from = await use().serve(gate.source);
      const refused = await fetchFirst(from, gate.artifact, 9);
      expect(refused).toMatchObject({ ok: false, error: { kind: 'stalled' } });
      gate.open();
      expect((await fetchFirst(from, gate.artifact, 9)).ok).toBe(true);
    });

    it('rejects at once when its signal aborts, and only then', async () => {
      const gate = gated(someBytes(9));
      const from = await use().serve(gate.source);
      const end = new AbortController();
      const [place] = chunkPlaces(gate.artifact, 9);
      if (place === undefined) throw new Error('no chunk');
      const into = new Uint8Array(9);
      const fetching = use().transport.fetch(from, place, into, end.signal);
      const listing = use().transport.chunkList(from, gate.artifact, end.signal);
      end.abort(new Error('enough'));
      await expect(fetching).rejects.toThrow('enough');
      await expect(listing).rejects.toThrow('enough');
      gate.open();
      // The next answer comes behind any late one of before.
      expect((await fetchFirst(from, gate.artifact, 9)).ok).toBe(true);
      expect(into.every((byte) => byte === 0)).toBe(true);
      await expect(list(from, gate.artifact, end.signal)).rejects.toThrow('enough');
    });

    async function fetchFirst(from: PeerId, artifact: ArtifactId, bytes: number) {
      const place = { artifact, index: 0, offset: 0, bytes };
      const fetching = use().transport.fetch(from, place, new Uint8Array(bytes), never);
      return within(use(), ASKED_MS, fetching);
    }
  });
}

/** A source that answers nothing until it is opened. */
function gated(bytes: Uint8Array): { source: ChunkSource; artifact: ArtifactId; open(): void } {
  const inner = new MemoryChunkSource();
  const { digest } = inner.add(bytes).ref;
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const source: ChunkSource = {
    chunkList: async (artifact) => {
      await opened;
      return inner.chunkList(artifact);
    },
    read: async (chunk) => {
      await opened;
      return inner.read(chunk);
    },
  };
  return { source, artifact: digest, open: () => open() };
}

const fresh = (): ArtifactId => artifactId(freshAction());

/** Bytes without a pattern: a part that lands in another's place is seen. */
function someBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = size;
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    bytes[at] = state >>> 16;
  }
  return bytes;
}
