import {
  ArtifactMissingError,
  type ArtifactStore,
  canonicalJson,
  EMPTY_ARTIFACT,
  PortError,
  type ResultCache,
} from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { freshAction, inPieces, sampleArtifact, sampleResult } from '../samples.ts';
import { all, type Bench, type MakeBench, useBench } from './bench.ts';

type ResultBench = Bench<{ readonly results: ResultCache }>;
type ArtifactBench = Bench<{ readonly artifacts: ArtifactStore }>;

/** What every result cache must do, whatever is behind it. */
export function describeResultCache(name: string, make: MakeBench<ResultBench>): void {
  describe(`${name}: ResultCache`, () => {
    const use = useBench(make);

    it('finds what was recorded, and only that', async () => {
      const { ports, other } = use();
      const [known, unknown] = [freshAction(), freshAction()];
      await ports.results.record(known, sampleResult(7));
      const found = await other.results.lookUp([known, unknown]);
      expect([...found]).toEqual([[known, sampleResult(7)]]);
    });

    it('looks up many at once', async () => {
      const { ports, other } = use();
      const actions = Array.from({ length: 300 }, () => freshAction());
      await Promise.all(actions.map((action) => ports.results.record(action, sampleResult())));
      const asked = [...actions, ...Array.from({ length: 300 }, () => freshAction())];
      expect((await other.results.lookUp(asked)).size).toBe(300);
      expect((await other.results.lookUp([])).size).toBe(0);
    });

    it('keeps the newest record, and forgets; forgetting twice is harmless', async () => {
      const { ports, other } = use();
      const action = freshAction();
      await ports.results.record(action, sampleResult(1));
      await other.results.record(action, sampleResult(2));
      expect((await ports.results.lookUp([action])).get(action)).toEqual(sampleResult(2));
      await ports.results.forget(action);
      await ports.results.forget(action);
      expect((await other.results.lookUp([action])).size).toBe(0);
    });
  });
}

/** What every artifact store must do, whatever is behind it. */
export function describeArtifactStore(name: string, make: MakeBench<ArtifactBench>): void {
  describe(`${name}: ArtifactStore`, () => {
    const use = useBench(make);

    it.each([1, 1_000, 3 * 1024 * 1024 + 1])('gives back %i bytes as they were', async (size) => {
      const { ports, other } = use();
      const { ref, bytes } = sampleArtifact(someBytes(size));
      await ports.artifacts.put(ref, inPieces(bytes));
      await ports.artifacts.put(ref, inPieces(bytes, 1_000));
      expect([...(await other.artifacts.stat([ref.digest]))]).toEqual([[ref.digest, ref]]);
      const read = Buffer.concat(await all(other.artifacts.get(ref.digest)));
      expect(read.equals(bytes)).toBe(true);
    });

    it('remembers that an artifact is a directory', async () => {
      const { ports, other } = use();
      const file = sampleArtifact(someBytes(100));
      await ports.artifacts.put(file.ref, inPieces(file.bytes));
      const { digest, bytes } = file.ref;
      const entry = { kind: 'file', path: 'a', digest, bytes, executable: false };
      const tree = canonicalJson({ podmeshTree: 1, entries: [entry] });
      const dir = sampleArtifact(new TextEncoder().encode(tree), 'dir');
      await ports.artifacts.put(dir.ref, inPieces(dir.bytes));
      expect((await other.artifacts.stat([dir.ref.digest])).get(dir.ref.digest)).toEqual(dir.ref);
      const read = Buffer.concat(await all(other.artifacts.get(dir.ref.digest)));
      expect(read.toString()).toBe(tree);
    });

    it('has the empty artifact always', async () => {
      const { artifacts } = use().ports;
      expect((await artifacts.stat([EMPTY_ARTIFACT])).has(EMPTY_ARTIFACT)).toBe(true);
      expect(Buffer.concat(await all(artifacts.get(EMPTY_ARTIFACT)))).toHaveLength(0);
      await artifacts.put(
        { digest: EMPTY_ARTIFACT, kind: 'file', bytes: 0 },
        inPieces(Buffer.of()),
      );
    });

    it('says what is missing', async () => {
      const { artifacts } = use().ports;
      const { digest } = sampleArtifact(someBytes(33)).ref;
      expect((await artifacts.stat([digest])).size).toBe(0);
      await expect(all(artifacts.get(digest))).rejects.toThrow(ArtifactMissingError);
    });

    it('stores nothing under a digest that the bytes do not have', async () => {
      const { ports, other } = use();
      const { ref } = sampleArtifact(someBytes(500));
      const wrong = ports.artifacts.put(ref, inPieces(someBytes(500, 9)));
      await expect(wrong).rejects.toThrow(PortError);
      expect((await other.artifacts.stat([ref.digest])).size).toBe(0);
      await expect(all(other.artifacts.get(ref.digest))).rejects.toThrow(ArtifactMissingError);
    });
  });
}

/** Bytes without a pattern that a codec could trip over by luck. */
function someBytes(size: number, salt = 1): Uint8Array {
  let state = salt;
  return Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state >>> 16;
  });
}
