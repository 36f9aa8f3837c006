import type { ArtifactShelf, ArtifactStore, ShelvedArtifact, SweepNote } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { inPieces, sampleArtifact } from '../samples.ts';
import { type Bench, flat, type MakeBench, useBench } from './bench.ts';

type ShelfBench = Bench<{ readonly shelf: ArtifactShelf; readonly artifacts: ArtifactStore }>;

const never = new AbortController().signal;
const note = (horizon: number, condemned: readonly number[] = []): SweepNote => ({
  horizon,
  condemned,
  kept: 1,
  removed: 2,
});

/** What every object store must do for its sweep, whatever is behind it: the rules of the port. */
export function describeArtifactShelf(name: string, make: MakeBench<ShelfBench>): void {
  describe(`${name}: ArtifactShelf`, () => {
    const use = useBench(make);

    const put = async (text: string, kind: 'file' | 'dir' = 'file') => {
      const { ref, bytes } = sampleArtifact(new TextEncoder().encode(text), kind);
      await use().ports.artifacts.put(ref, inPieces(bytes));
      return ref;
    };
    const listed = async (): Promise<readonly ShelvedArtifact[]> => {
      const found: ShelvedArtifact[] = [];
      for await (const entry of flat(use().other.shelf.list(never))) found.push(entry);
      return found;
    };

    it('lists what is there, in order, and how much that is', async () => {
      const [a, b] = [await put('one'), await put('two', 'dir')];
      const entries = await listed();
      expect(
        entries.map(({ artifact, kind, bytes }) => ({ digest: artifact, kind, bytes })),
      ).toEqual([a, b]);
      const look = await use().ports.shelf.look();
      expect(look.note).toBeUndefined();
      expect(look.bytes).toBeGreaterThanOrEqual(6);
      expect(entries[0]?.sequence).toBeLessThan(entries[1]?.sequence ?? 0);
      expect(look.lastSequence).toBe(entries[1]?.sequence);
    });

    it('an announcement is seen with its time, and refused to who has not seen the last one', async () => {
      const { ports, other } = use();
      await put('one');
      const { nowMs, lastSequence } = await ports.shelf.look();
      const condemned = [1, 3, 200, 5_000_000_000];
      const first = await ports.shelf.announce(note(lastSequence, condemned), 0);
      if (!first.ok) throw new Error('refused');
      const seen = await other.shelf.look();
      expect(seen.note?.value).toEqual(note(lastSequence, condemned));
      expect(seen.note?.sequence).toBe(first.value);
      expect(seen.note?.atMs).toBeGreaterThanOrEqual(nowMs);
      expect(seen.note?.atMs).toBeLessThanOrEqual(seen.nowMs);
      expect((await other.shelf.announce(note(1), 0)).ok).toBe(false);
      expect((await other.shelf.announce(note(9), first.value)).ok).toBe(true);
      expect((await ports.shelf.look()).note?.value).toEqual(note(9));
      expect(await listed()).toHaveLength(1);
    });

    it('what is put again is written anew when it was announced, and only then', async () => {
      const { ports } = use();
      const ref = await put('one');
      const [before] = await listed();
      await put('one');
      expect(await listed()).toEqual([before]);
      await ports.shelf.announce(note((await ports.shelf.look()).lastSequence), 0);
      await put('one');
      const [after] = await listed();
      expect(after?.sequence).toBeGreaterThan(before?.sequence ?? 0);
      expect(after).toEqual({ ...before, sequence: after?.sequence });
      await put('one');
      expect(await listed()).toEqual([after]);
      if (before !== undefined) expect(await ports.shelf.remove(before)).toBe(false);
      expect((await ports.artifacts.stat([ref.digest])).size).toBe(1);
    });

    it('what is refreshed is written anew like that; what is not there stays so', async () => {
      const { ports } = use();
      const ref = await put('one');
      const [before] = await listed();
      await ports.shelf.announce(note((await ports.shelf.look()).lastSequence), 0);
      const { digest } = sampleArtifact(new TextEncoder().encode('nowhere')).ref;
      await ports.shelf.refresh([ref.digest, digest, ref.digest]);
      const [after, ...more] = await listed();
      expect(more).toEqual([]);
      expect(after?.sequence).toBeGreaterThan(before?.sequence ?? 0);
    });

    it('what is removed is gone, once; it can be put again', async () => {
      const { ports, other } = use();
      const [ref, kept] = [await put('one'), await put('two')];
      const [entry] = await listed();
      if (entry === undefined) throw new Error('nothing is listed');
      expect(await ports.shelf.remove(entry)).toBe(true);
      expect(await other.shelf.remove(entry)).toBe(false);
      expect([...(await other.artifacts.stat([ref.digest, kept.digest])).keys()]).toEqual([
        kept.digest,
      ]);
      const { lastSequence } = await ports.shelf.look();
      await ports.shelf.removeUnfinished(lastSequence, never);
      await put('one');
      expect((await other.artifacts.stat([ref.digest])).get(ref.digest)).toEqual(ref);
      expect(await listed()).toHaveLength(2);
    });
  });
}
