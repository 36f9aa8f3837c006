import { join } from 'node:path';
import { claimId } from '@podmesh/core';
import { DirectProcess, FakeMesh, sampleArtifact, VirtualClock } from '@podmesh/testkit';
import { systemClock } from '@podmesh/transfer';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Neighbours, sourceOf } from '../../../transfer/src/transfer.test-kit.ts';
import { failureOfError } from '../execute/attempt-failure.ts';
import { patiently } from '../execute/patiently.ts';
import { DiskStore } from './disk-store.ts';
import { LocalTaskFiles } from './local-task-files.ts';
import { smallDisk } from './small-disk.test-kit.ts';
import { entries, namesIn, ROOMY, someBytes } from './store.test-kit.ts';
import { StoreDisk } from './store-disk.ts';

const MIB = 2 ** 20;
const disk = smallDisk(16 * MIB);
const wish = { claim: claimId('reader'), signal: new AbortController().signal };

/** What is larger than the disk, kept for others by a peer and by the mesh. */
async function newFiles() {
  const clock = new VirtualClock();
  const root = (await disk?.newFolder()) ?? '';
  const store = new DiskStore(root, { limits: ROOMY });
  onTestFinished(() => store.stop());
  const { artifacts } = new FakeMesh(clock).portsFor(new DirectProcess('p', clock));
  const neighbours = new Neighbours();
  const bytes = someBytes(24 * MIB);
  const { ref } = sampleArtifact(bytes);
  await neighbours.add('a', sourceOf(bytes), ref.digest);
  await artifacts.put(ref, inPieces(bytes));
  const fromPeers = neighbours.transfers(new StoreDisk(store));
  const files = new LocalTaskFiles(root, artifacts, { store, fromPeers });
  await files.prepare();
  const attempt = { clock: systemClock, stop: wish.signal };
  const failureOf = (work: () => Promise<unknown>) =>
    patiently(work, attempt).then(() => undefined, failureOfError);
  return { root, store, files, ref, bytes, failureOf };
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += MIB) yield bytes.subarray(at, at + MIB);
}

describe.skipIf(disk === undefined)('a task on a machine whose disk is full', () => {
  it('ends at once as disk-host for an input that has no room, of which nothing is left', async () => {
    const { root, store, files, ref, failureOf } = await newFiles();
    const failure = await failureOf(() => files.input(ref, wish));
    await files.release(wish.claim);
    expect(failure).toMatchObject({ kind: 'disk-host' });
    expect(failure?.message).toMatch(/^disk \S.* is full: needs 24 MiB in /);
    await expectNothing(root, store);
  });

  it('and for an output', async () => {
    const { root, store, files, bytes, failureOf } = await newFiles();
    const output = { kind: 'file', path: '', executable: false, content: inPieces(bytes) } as const;
    const failure = await failureOf(() => files.storeOutput('file', entries(output)));
    expect(failure).toMatchObject({ kind: 'disk-host' });
    expect(failure?.message).toMatch(/^disk \S.* is full: needs /);
    await expectNothing(root, store);
  });
});

async function expectNothing(root: string, store: DiskStore): Promise<void> {
  for (const folder of ['partial', 'temporary']) {
    expect(await namesIn(join(root, folder))).toEqual([]);
  }
  expect([...store.index.wholes()]).toEqual([]);
  expect(store.index.storeBytes()).toBe(0);
  expect(store.budget.reservedBytes).toBe(0);
}
