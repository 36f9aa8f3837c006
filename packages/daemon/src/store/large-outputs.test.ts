import { readFile } from 'node:fs/promises';
import {
  ArtifactMissingError,
  type ArtifactRef,
  claimId,
  EMPTY_ARTIFACT,
  type KeepOrder,
  runId,
  taskId,
} from '@podmesh/core';
import { DirectProcess, FakeMesh, RealTime } from '@podmesh/testkit';
import { TransferError } from '@podmesh/transfer';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CopyBringer } from './copy-bringer.ts';
import { DiskFullError } from './disk-full-error.ts';
import { DiskStore, type DiskStoreOptions } from './disk-store.ts';
import { LocalTaskFiles } from './local-task-files.ts';
import {
  entries,
  fileEntry,
  namesIn,
  ROOMY,
  temporaryFolder,
  textStream,
} from './store.test-kit.ts';

const run = runId('abcdefghij12');
const task = taskId('a');
const success = { run, task };
const LARGE = 'x'.repeat(2 ** 21);

/** The files of a peer over a mesh; what it lacks comes from `other`, if that has it. */
async function newPeer(
  mesh: FakeMesh,
  other?: DiskStore,
  options: DiskStoreOptions = {},
  onFull: (error: Error) => void = () => undefined,
) {
  const orders: KeepOrder[] = [];
  const stops: (AbortSignal | undefined)[] = [];
  const shorts: string[] = [];
  const bring = async (order: KeepOrder, stop?: AbortSignal) => {
    stops.push(stop);
    // Not before it is pinned here: until another has it this is the only copy.
    const digests = order.outputs.map(({ digest }) => digest);
    expect(store.runPins.hasAll(order, digests)).toBe(true);
    orders.push(order);
    return orders.length === 1 ? undefined : 'no other peer is in the mesh';
  };
  const { artifacts } = mesh.portsFor(new DirectProcess('p', new RealTime({ background: true })));
  const root = await temporaryFolder();
  const store = new DiskStore(root, { limits: ROOMY, ...options });
  onTestFinished(() => store.stop());
  let refusals = 0;
  const fromPeers = {
    nobodyHas: async () => new Set<ArtifactRef['digest']>(),
    get: async (artifact: ArtifactRef['digest']) => {
      if (other?.index.whole(artifact) === undefined || refusals > 0) {
        refusals -= 1;
        throw new TransferError(artifact, 'no-source');
      }
      await store.write(textStream(await readFile(other.pathOf(artifact), 'utf8')), 'copy');
    },
  };
  const onShort = ({ task: of }: KeepOrder, why: string) => void shorts.push(`${of}: ${why}`);
  const more = { onFull, onShort, copies: { bring }, askAgainMs: 1 };
  const files = new LocalTaskFiles(root, artifacts, { store, fromPeers, ...more });
  await files.prepare();
  const copies = new CopyBringer({
    pins: store.runPins,
    sourceOf: (sizes, signal) => files.sourceOf(sizes, signal),
  });
  const refuse = (times: number) => {
    refusals = times;
  };
  return { store, files, copies, artifacts, refuse, orders, stops, shorts };
}

const newMesh = () => new FakeMesh(new RealTime({ background: true }));
const { signal } = new AbortController();
const wish = { claim: claimId('claim'), signal };

describe('a large output of a success', () => {
  it('stays on the disk of its peer, pinned, and small ones go into the object store', async () => {
    const { files, store, artifacts } = await newPeer(newMesh());
    const large = await files.storeOutput('file', entries(fileEntry('', LARGE)), success);
    const small = await files.storeOutput('file', entries(fileEntry('', 's')), success);
    expect([large.bulk, small.bulk]).toEqual([true, undefined]);
    const stored = await artifacts.stat([large.digest, small.digest]);
    expect([...stored.keys()]).toEqual([small.digest]);
    expect([store.pins.isPinned(large.digest), store.pins.isPinned(small.digest)]).toEqual([
      true,
      false,
    ]);
  });

  it('is what a small one becomes when the object store has no room for it, alone or in a directory', async () => {
    const mesh = newMesh();
    const { files, store, artifacts, copies } = await newPeer(mesh);
    mesh.artifacts.takesBytesMax = 256 * 1024;
    const text = 'm'.repeat(300 * 1024);
    const file = await files.storeOutput('file', entries(fileEntry('', text)), success);
    expect(file.bulk).toBe(true);
    const two = entries(fileEntry('a', `${text}!`), fileEntry('b', 'b'));
    const dir = await files.storeOutput('dir', two, success);
    expect(dir.bulk).toBe(true);
    expect((await artifacts.stat([file.digest, dir.digest])).size).toBe(1);
    expect(store.pins.isPinned(file.digest)).toBe(true);
    expect(store.runPins.hasAll(success, [file.digest, dir.digest])).toBe(true);
    // Another peer finds both with the first, although they are small.
    const other = await newPeer(mesh, store);
    expect(await readFile(await other.files.input(file, wish), 'utf8')).toBe(text);
    const order: KeepOrder = { ...success, outputs: [file, dir] };
    await other.copies.bring(order, signal);
    expect(other.store.runPins.hasAll(success, [file.digest, dir.digest])).toBe(true);
    void copies;
    // Of a failure nobody would bring copies.
    const failed = files.storeOutput('file', entries(fileEntry('', `${text}?`)));
    await expect(failed).rejects.toThrow('no room');
  });

  it('is what even the smallest becomes when the object store is full, and its log is had from there', async () => {
    const mesh = newMesh();
    const full: string[] = [];
    const { files, store, artifacts, orders, stops } = await newPeer(mesh, undefined, {}, (error) =>
      full.push(error.message),
    );
    mesh.artifacts.takesSpareBytesMax = 0;
    const file = await files.storeOutput('file', entries(fileEntry('', 'small')), success);
    const dir = await files.storeOutput('dir', entries(fileEntry('a', 'also')), success);
    expect([file.bulk, dir.bulk]).toEqual([true, true]);
    // Whether something is a directory is told by its place in the object store.
    expect([...(await artifacts.stat([file.digest, dir.digest])).keys()]).toEqual([dir.digest]);
    expect(store.runPins.hasAll(success, [file.digest, dir.digest])).toBe(true);
    const alike = await files.storeOutput(
      'file',
      entries(fileEntry('', '{"entries":[1]}')),
      success,
    );
    expect([alike.bulk, (await artifacts.stat([alike.digest])).size]).toEqual([undefined, 1]);
    // The driver sees to those; a log is brought to another disk before anybody knows of it.
    expect(orders).toEqual([]);
    const logs = [];
    for (const claim of [claimId('first'), claimId('second')]) {
      const log = files.openLog(claim, success);
      log.write('stdout', Buffer.from(`what the ${claim} said`));
      logs.push(await log.store(signal));
    }
    const outputs = logs.map(({ digest, bytes }) => ({ digest, kind: 'file', bytes }));
    expect(orders).toEqual(outputs.map((one) => ({ ...success, apart: true, outputs: [one] })));
    expect(stops).toEqual([signal, signal]);
    expect(logs.map(({ short }) => short)).toEqual([undefined, 'no other peer is in the mesh']);
    // What the driver lets go is not the log.
    const apart = { ...success, apart: true } as const;
    const digests = logs.map(({ digest }) => digest);
    await store.runPins.release({ run, tasks: [task], as: 'spent' });
    expect(store.runPins.hasAll(apart, digests)).toBe(true);
    expect(digests.map((digest) => store.pins.isPinned(digest))).toEqual([true, true]);
    expect(store.runPins.successes).toEqual([]);
    await store.runPins.releaseRun(run);
    expect(digests.map((digest) => store.pins.isPinned(digest))).toEqual([false, false]);
    expect(store.index.whole(digests[0] ?? file.digest)).toMatchObject({ rank: 'kept' });
    expect(full).toHaveLength(4);
    expect(full[0]).toContain('the object store of the mesh has no room');
    const other = await newPeer(mesh, store);
    expect(await readFile(await other.files.input(file, wish), 'utf8')).toBe('small');
    const folder = await other.files.input(dir, wish);
    expect(await readFile(`${folder}/a`, 'utf8')).toBe('also');
  });

  it('of an attempt that failed goes into the object store: nobody copies it', async () => {
    const { files, artifacts } = await newPeer(newMesh());
    const { digest, bulk } = await files.storeOutput('file', entries(fileEntry('', LARGE)));
    expect([bulk, (await artifacts.stat([digest])).size]).toEqual([undefined, 1]);
  });

  it('of an attempt that failed is brought to another peer while the object store is full', async () => {
    const mesh = newMesh();
    const { files, store, orders, stops, shorts } = await newPeer(mesh);
    mesh.artifacts.takesBytesMax = 256 * 1024;
    const owner = { ...success, apart: true, attempt: 1 } as const;
    const file = await files.storeOutput('file', entries(fileEntry('', LARGE)), owner, signal);
    const two = entries(fileEntry('a', `${LARGE}!`), fileEntry('b', 'b'));
    const dir = await files.storeOutput('dir', two, owner);
    const small = await files.storeOutput('file', entries(fileEntry('', 's')), owner);
    expect([file.bulk, dir.bulk, small.bulk]).toEqual([true, true, undefined]);
    const named = orders.map(({ outputs }) => outputs.map(({ digest }) => digest));
    expect(named).toEqual([[file.digest], [dir.digest]]);
    expect(orders.every(({ apart, attempt }) => apart === true && attempt === 1)).toBe(true);
    // Nothing else says why there is one copy only.
    expect(shorts).toEqual(['a: no other peer is in the mesh']);
    expect(stops).toEqual([signal, undefined]);
    // A restart holds them as well.
    const restarted = new DiskStore(store.places.root, { limits: ROOMY });
    onTestFinished(() => restarted.stop());
    await restarted.prepare();
    expect(restarted.runPins.hasAll(owner, [file.digest, dir.digest])).toBe(true);
    expect(restarted.runPins.successes).toEqual([]);
    const other = await newPeer(mesh, store);
    expect(await readFile(await other.files.input(file, wish), 'utf8')).toBe(LARGE);
    const [order] = orders;
    if (order === undefined) throw new Error('no order');
    await other.copies.bring(order, signal);
    expect(other.store.runPins.hasAll(owner, [file.digest])).toBe(true);
    expect(other.store.runPins.hasAll(success, [file.digest])).toBe(false);
  });

  it('is copied to another peer with all that is in it, and pinned there', async () => {
    const mesh = newMesh();
    const ann = await newPeer(mesh);
    const listed = [fileEntry('large', LARGE), fileEntry('deep/small', 's'), fileEntry('no', '')];
    const both = await ann.files.storeOutput('dir', entries(...listed), success);
    const one = await ann.files.storeOutput('file', entries(fileEntry('', `${LARGE}y`)), success);
    expect(both.bulk).toBe(true);
    const order: KeepOrder = { run, task, outputs: [both, one] };
    // Who made it says so at once.
    expect(ann.copies.has(order)).toBe(true);
    const bob = await newPeer(mesh, ann.store);
    expect(bob.copies.has(order)).toBe(false);
    await bob.copies.bring(order, signal);
    expect(bob.copies.has(order)).toBe(true);
    const whole = ({ index }: DiskStore) =>
      [...index.wholes()].flatMap(([id]) => (id === EMPTY_ARTIFACT ? [] : [id])).sort();
    expect(whole(bob.store)).toEqual(whole(ann.store));
    expect(whole(bob.store).every((id) => bob.store.pins.isPinned(id))).toBe(true);
    const [first = one.digest] = whole(bob.store);
    await bob.store.remove(first);
    expect(bob.copies.has(order)).toBe(false);
  });

  it('that nobody gives is not kept, and nothing of it is pinned', async () => {
    const mesh = newMesh();
    const ann = await newPeer(mesh);
    const one = await ann.files.storeOutput('file', entries(fileEntry('', LARGE)), success);
    const bob = await newPeer(mesh);
    const order: KeepOrder = { run, task, outputs: [one] };
    await expect(bob.copies.bring(order, signal)).rejects.toThrow(ArtifactMissingError);
    expect(bob.store.pins.isPinned(one.digest)).toBe(false);
    // Of its own outputs a peer lets nothing go because something else of them is missing.
    await ann.store.remove(one.digest);
    await expect(ann.copies.bring(order, signal)).rejects.toThrow(ArtifactMissingError);
    expect(ann.store.pins.isPinned(one.digest)).toBe(true);
  });

  it('is refused by a peer whose disk is full, with its name, and leaves nothing there', async () => {
    const mesh = newMesh();
    const ann = await newPeer(mesh);
    const one = await ann.files.storeOutput('file', entries(fileEntry('', LARGE)), success);
    const measure = async () => ({ totalBytes: 2 ** 40, freeBytes: 2 ** 20 });
    const bob = await newPeer(mesh, ann.store, { measure });
    const order: KeepOrder = { run, task, outputs: [one] };
    const refusal = bob.copies.bring(order, signal);
    await expect(refusal).rejects.toThrow(DiskFullError);
    await expect(refusal).rejects.toThrow(/disk .* is full/);
    expect([...bob.store.index.wholes()]).toEqual([]);
    expect(await namesIn(bob.store.places.temporary)).toEqual([]);
    expect(bob.store.pins.isPinned(one.digest)).toBe(false);
  });

  it('is asked for once more before its reader fails', async () => {
    const mesh = newMesh();
    const ann = await newPeer(mesh);
    const one = await ann.files.storeOutput('file', entries(fileEntry('', LARGE)), success);
    const bob = await newPeer(mesh, ann.store);
    bob.refuse(1);
    expect((await readFile(await bob.files.input(one, wish))).length).toBe(LARGE.length);
    await bob.store.remove(one.digest);
    bob.refuse(2);
    await expect(bob.files.input(one, wish)).rejects.toThrow(ArtifactMissingError);
  });
});
