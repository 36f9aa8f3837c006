import { type ArtifactStore, claimId } from '@podmesh/core';
import { DirectProcess, FakeMesh, sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import type { DiskStore } from './disk-store.ts';
import { LocalTaskFiles } from './local-task-files.ts';
import { entries, fileEntry, namesIn, newStore } from './store.test-kit.ts';
import { clock, newFiles, portOf, wish } from './task-files.test-kit.ts';

describe('what tasks read and leave', () => {
  const limits = { floorBytes: 0, ceilingBytes: 0, minFreeBytes: 0 };
  const nowMs = { value: 0 };

  /** A peer whose store gives up all it may whenever something large is written. */
  async function newTightFiles(mesh = new FakeMesh(clock)) {
    const bench = await newStore({ limits, nowMs: () => nowMs.value });
    const { artifacts } = mesh.portsFor(new DirectProcess('p', clock));
    const files = new LocalTaskFiles(bench.root, artifacts, { store: bench.store });
    await files.prepare();
    const evict = async (store: DiskStore = bench.store) => {
      nowMs.value += 60_000;
      (await store.budget.reserve(1)).release();
      return [...store.index.wholes()].map(([artifact]) => artifact).sort();
    };
    return { ...bench, mesh, artifacts, files, evict };
  }

  async function directory(files: LocalTaskFiles) {
    const ref = await files.storeOutput('dir', entries(fileEntry('a', 'A'), fileEntry('b', 'B')));
    const members = ['A', 'B'].map((text) => sampleArtifact(Buffer.from(text)).ref.digest);
    return { ref, all: [ref.digest, ...members].sort() };
  }

  it('is worth more where it was made than where it was fetched', async () => {
    const made = await newTightFiles();
    const fetched = await newTightFiles(made.mesh);
    const { ref, all } = await directory(made.files);
    await fetched.files.input(ref, wish);
    const ranks = (store: DiskStore) => all.map((artifact) => store.index.whole(artifact)?.rank);
    expect(ranks(made.store)).toEqual(['kept', 'kept', 'kept']);
    expect(ranks(fetched.store)).toEqual(['copy', 'copy', 'copy']);
  });

  it('stays until every peer can reach it', async () => {
    const { mesh, artifacts } = await newTightFiles();
    const bench = await newStore({ limits, nowMs: () => nowMs.value });
    const pins: unknown[] = [];
    const put: ArtifactStore['put'] = async (ref, bytes) => {
      pins.push(bench.store.pins.reasonsOf(ref.digest).map(({ kind }) => kind));
      await artifacts.put(ref, bytes);
    };
    const files = new LocalTaskFiles(
      bench.root,
      { ...portOf(artifacts), put },
      { store: bench.store },
    );
    await files.prepare();
    const { all } = await directory(files);
    await files.storeOutput('file', entries(fileEntry('', 'alone')));
    expect(pins).toEqual(Array.from({ length: 4 }, () => ['unreplicated']));
    expect(all.some((artifact) => bench.store.pins.isPinned(artifact))).toBe(false);
    expect(mesh.artifacts.size).toBe(4);
  });

  it('stays while an attempt reads it, the files of a directory too, and may go then', async () => {
    const { mesh, files } = await newTightFiles();
    const { ref, all } = await directory(files);
    const reader = await newTightFiles(mesh);
    const folder = await reader.files.input(ref, wish);
    await reader.files.input(ref, { ...wish, claim: claimId('second') });
    expect(await reader.evict()).toEqual(all);
    await reader.files.release(wish.claim);
    expect(await reader.evict()).toEqual(all);
    expect(await namesIn(folder)).toEqual(['a', 'b']);
    await reader.files.release(claimId('second'));
    expect(await reader.evict()).toEqual([]);
    expect(await namesIn(folder)).toEqual([]);
  });

  it('stays over a restart for as long as its attempt is not settled', async () => {
    const { mesh, files } = await newTightFiles();
    const { ref, all } = await directory(files);
    const reader = await newTightFiles(mesh);
    await reader.files.input(ref, wish);
    // What it knows of their worth is written down then.
    reader.store.start();
    await reader.store.stop();
    const store = await reader.next();
    const restarted = new LocalTaskFiles(reader.root, reader.artifacts, { store });
    const gone = sampleArtifact(Buffer.from('never here'), 'dir').ref;
    await restarted.pinInputs(wish.claim, [gone, ref]);
    expect(await reader.evict(store)).toEqual(all);
    await restarted.release(wish.claim);
    expect(await reader.evict(store)).toEqual([]);
  });

  it('is not waited for by an attempt that is told to end', async () => {
    const { mesh, files, artifacts } = await newTightFiles();
    const ref = await files.storeOutput('file', entries(fileEntry('', 'slow')));
    const never = portOf(artifacts);
    never.get = async function* () {
      yield await new Promise<never>(() => undefined);
    };
    const reader = await newFiles(mesh, never);
    const stop = new AbortController();
    const read = reader.files.input(ref, { ...wish, signal: stop.signal });
    stop.abort('cancelled');
    await expect(read).rejects.toBe('cancelled');
    await expect(reader.files.input(ref, { ...wish, signal: stop.signal })).rejects.toBe(
      'cancelled',
    );
  });
});
