import {
  ArtifactMissingError,
  CHUNK_BYTES,
  type ChunkTransport,
  type Holding,
  ok,
  peerId,
  refused,
  type SourceRefusal,
} from '@podmesh/core';
import { chunkListOf, sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { MeshArtifacts } from './mesh-artifacts.ts';
import { ArtifactCorruptError, MeshSilentError } from './mesh-errors.ts';

const bytes = new Uint8Array(2 * CHUNK_BYTES + 5).map((_, at) => (at * 7) % 251);
const { ref } = sampleArtifact(bytes);
const gone: SourceRefusal = { kind: 'unreachable', message: 'it is away' };

interface Source {
  /** What it gives instead of the bytes. */
  readonly bytes?: Uint8Array;
  /** Chunks before it gives no more. */
  readonly chunks?: number;
  /** Of these requests for chunks, counted from 0, the connection breaks. */
  readonly breaks?: (request: number) => boolean;
  readonly refusal?: SourceRefusal;
}

function meshOf(sources: Readonly<Record<string, Source>>, stored = new Map(), held = ref) {
  const found = new Map<typeof ref.digest, readonly Holding[]>();
  const asked: string[] = [];
  const holdings = Object.keys(sources).map((name) => ({
    artifact: held.digest,
    peer: peerId(name),
    bytes: held.bytes,
    whole: true,
  }));
  if (holdings.length > 0) found.set(held.digest, holdings);
  const transport: ChunkTransport = {
    chunkList: async (peer) => {
      const { bytes: own = bytes, refusal } = sources[peer] ?? {};
      return refusal === undefined ? ok(chunkListOf(own)) : refused(refusal);
    },
    fetch: async (peer, { index, offset, bytes: length }, into) => {
      const { bytes: own = bytes, chunks = 99, breaks } = sources[peer] ?? {};
      const request = asked.filter((one) => one.startsWith(`${peer} `)).length;
      asked.push(`${peer} ${index}`);
      if (breaks?.(request) === true) return refused(gone);
      if (index >= chunks) return refused({ kind: 'refused', message: 'no more' });
      into.set(own.subarray(offset, offset + length));
      return ok(undefined);
    },
  };
  const objects = {
    stat: async () => stored,
    put: async () => undefined,
    get: async function* () {
      yield Buffer.from('from the object store');
    },
  };
  let questions = 0;
  const whoHas = async () => {
    questions += 1;
    return { found, silent: [] };
  };
  const artifacts = new MeshArtifacts({ objects, finder: { whoHas }, transport, retryMs: 1 });
  return Object.assign(artifacts, { asked, found, questions: () => questions });
}

async function read(artifacts: MeshArtifacts): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of artifacts.get(ref.digest)) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe('an artifact that only peers have', () => {
  it('is found and read, in order', async () => {
    const artifacts = meshOf({ ann: {} });
    expect(await artifacts.stat([ref.digest])).toEqual(new Map([[ref.digest, ref]]));
    expect(Buffer.compare(await read(artifacts), bytes)).toBe(0);
  });

  it('goes on at the next peer where one broke off', async () => {
    const artifacts = meshOf({ ann: { refusal: gone }, bob: { chunks: 1 }, cid: {} });
    expect(Buffer.compare(await read(artifacts), bytes)).toBe(0);
  });

  it('comes from all who have it at the same time', async () => {
    const artifacts = meshOf({ ann: {}, bob: {} });
    expect(Buffer.compare(await read(artifacts), bytes)).toBe(0);
    expect([...artifacts.asked].sort()).toEqual(['ann 0', 'ann 2', 'bob 1']);
  });

  it('goes on where a connection breaks, at the same peer where that is the only one', async () => {
    const first = meshOf({ ann: { breaks: (request) => request < 3 } });
    expect(Buffer.compare(await read(first), bytes)).toBe(0);
    expect(first.questions()).toBe(2);
    const one = meshOf({ ann: { breaks: (request) => request >= 1 }, bob: {} });
    expect(Buffer.compare(await read(one), bytes)).toBe(0);
  });

  it('is asked for anew, of whoever has come since, once some of it was given out', async () => {
    const artifacts = meshOf({ ann: { breaks: (request) => request >= 1 && request < 20 } });
    expect(Buffer.compare(await read(artifacts), bytes)).toBe(0);
    expect(artifacts.questions()).toBeGreaterThan(2);

    const away = meshOf({ ann: { breaks: (request) => request >= 1 } });
    await expect(read(away)).rejects.toThrow(MeshSilentError);
    expect(away.questions()).toBe(2 * (1 + 20));
    // What was never begun is told at once.
    const never = meshOf({ ann: { breaks: () => true } });
    await expect(read(never)).rejects.toThrow(MeshSilentError);
    expect(never.questions()).toBe(2);
  });

  it('does not end in wrong bytes where one of several lies', async () => {
    const lie = bytes.slice().fill(1, CHUNK_BYTES);
    for (const sources of [
      { ann: {}, bob: { bytes: lie } },
      { ann: {}, bob: { bytes: lie }, cid: { bytes: lie } },
    ]) {
      const artifacts = meshOf(sources);
      expect(Buffer.compare(await read(artifacts), bytes)).toBe(0);
      expect(artifacts.asked.filter((one) => one.startsWith('bob'))).toHaveLength(1);
    }
  });

  it('is none where nobody has it any more, and one to try again for where nobody answers', async () => {
    const notHere: SourceRefusal = { kind: 'not-here' };
    await expect(read(meshOf({}))).rejects.toThrow(ArtifactMissingError);
    await expect(read(meshOf({ ann: { refusal: notHere } }))).rejects.toThrow(ArtifactMissingError);
    await expect(read(meshOf({ ann: { refusal: gone } }))).rejects.toThrow(MeshSilentError);
  });

  it('is refused from a peer that gives other bytes', async () => {
    const lie = bytes.slice();
    lie[0] = 255;
    await expect(read(meshOf({ ann: { bytes: lie } }))).rejects.toThrow(ArtifactCorruptError);
  });

  it('comes from the object store when it is there', async () => {
    const artifacts = meshOf({}, new Map([[ref.digest, ref]]));
    expect(Buffer.from(await read(artifacts)).toString()).toBe('from the object store');
  });

  it('is a file also where it is small, unless it looks like a listing', async () => {
    const listing = Buffer.from('{"entries":[],"podmeshTree":1}');
    for (const [small, found] of [
      [Buffer.from('small'), 1],
      [Buffer.from('{"entries": no listing'), 1],
      [listing, 0],
    ] as const) {
      const { ref: one } = sampleArtifact(small);
      const artifacts = meshOf({ ann: { bytes: small } }, new Map(), one);
      const expected = found === 1 ? new Map([[one.digest, one]]) : new Map();
      expect(await artifacts.stat([one.digest])).toEqual(expected);
    }
    const away = sampleArtifact(Buffer.from('small, but long enough')).ref;
    const artifacts = meshOf({ ann: { refusal: gone } }, new Map(), away);
    expect((await artifacts.stat([away.digest])).size).toBe(0);
  });
});
