import { type ArtifactStore, claimId } from '@podmesh/core';
import { DirectProcess, FakeMesh, VirtualClock } from '@podmesh/testkit';
import { onTestFinished } from 'vitest';
import { DiskStore } from './disk-store.ts';
import { LocalTaskFiles } from './local-task-files.ts';
import { temporaryFolder } from './store.test-kit.ts';

export const clock = new VirtualClock();
export const wish = { claim: claimId('reader'), signal: new AbortController().signal };

/** One peer's files over a mesh that others share. */
export async function newFiles(mesh = new FakeMesh(clock), store?: ArtifactStore) {
  const root = await temporaryFolder();
  const { artifacts } = mesh.portsFor(new DirectProcess('p', clock));
  const disk = new DiskStore(root);
  onTestFinished(() => disk.stop());
  const files = new LocalTaskFiles(root, store ?? artifacts, { store: disk });
  await files.prepare();
  return { root, mesh, files, artifacts, store: disk };
}

/** The methods of a store, to replace some of them. */
export function portOf(store: ArtifactStore): ArtifactStore {
  return {
    stat: (ids) => store.stat(ids),
    put: (ref, bytes) => store.put(ref, bytes),
    get: (id) => store.get(id),
  };
}
