import {
  type KeepAnswer,
  type KeepOrder,
  OBJECT_ALWAYS_BYTES_MAX,
  type PeerEntry,
  peerId,
  type RunId,
  SMALL_ARTIFACT_BYTES_MAX,
  type TaskId,
  taskId,
} from '@podmesh/core';
import {
  DirectProcess,
  FakeMesh,
  freshRun,
  sampleArtifact,
  samplePeer,
  VirtualClock,
} from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { graphOf, publishGraph, settled, silent } from '../daemon.test-kit.ts';
import { sha256 } from '../store/local-task-files.ts';
import { HandOver } from './hand-over.ts';

const me = peerId('me');
const a = taskId('a');

/** A peer that holds successes of runs, and others that answer as the test says. */
function newCase(answers: Readonly<Record<string, KeepAnswer['kind']>> = {}) {
  const clock = new VirtualClock();
  const mesh = new FakeMesh(clock);
  const { log, peers, artifacts: objects } = mesh.portsFor(new DirectProcess('me', clock));
  const successes: { run: RunId; task: TaskId }[] = [];
  const leftApart: KeepOrder[] = [];
  const asked: string[] = [];
  const given = new Map(Object.entries(answers));
  const keep = async (peer: string, { task, apart }: KeepOrder): Promise<KeepAnswer> => {
    asked.push(`${peer} ${task}${apart === true ? ' apart' : ''}`);
    const kind = given.get(peer) ?? 'silent';
    return kind === 'refused' ? { kind, message: 'no' } : { kind };
  };
  const pins = {
    get successes() {
      return successes;
    },
    leftApart,
  };
  const parts = { peer: me, pins, log, peers, keepers: { keep }, objects, sha256, logger: silent };
  const handOver = new HandOver(parts);
  const round = () => settled(clock, handOver.round(new AbortController().signal));
  const join = (name: string, more: Partial<PeerEntry> = {}) =>
    mesh.peers.announce({
      ...samplePeer(),
      peer: peerId(name),
      keeps: { freeBytes: 2 ** 40, host: name },
      ...more,
    });
  return { mesh, successes, leftApart, asked, given, round, join };
}

/** A success in the log, with one output of that size. */
function succeed({ mesh, successes }: ReturnType<typeof newCase>, bytes: number, task = a): RunId {
  const run = freshRun();
  const { ref } = sampleArtifact(Buffer.from(`${run}`));
  const result = { outputs: { out: { ...ref, bytes } } } as never;
  const source = { kind: 'run', run } as never;
  mesh.log.append({ kind: 'task-cached', run, task, result, source } as never, 0);
  successes.push({ run, task });
  return run;
}

const LARGE = SMALL_ARTIFACT_BYTES_MAX + 1;

describe('handing over outputs', () => {
  it('asks one other peer, again and again, until it has them, and then no more', async () => {
    const one = newCase({ bob: 'working' });
    one.join('me');
    one.join('bob');
    succeed(one, LARGE);
    expect(await one.round()).toEqual({ left: 1, isHopeless: false });
    one.given.set('bob', 'kept');
    expect(await one.round()).toEqual({ left: 0, isHopeless: false });
    expect(await one.round()).toEqual({ left: 0, isHopeless: false });
    expect(one.asked).toEqual(['bob a', 'bob a']);
  });

  it('leaves what is in the object store to that, and what a driver has spread to the driver', async () => {
    const one = newCase({ bob: 'kept' });
    one.join('bob');
    const small = succeed(one, OBJECT_ALWAYS_BYTES_MAX);
    const { ref, bytes } = sampleArtifact(Buffer.from(`${small}`));
    one.mesh.artifacts.set(ref.digest, { ref, bytes });
    const run = succeed(one, LARGE);
    const kept = { kind: 'outputs-kept', run, task: a, keepers: [me, peerId('bob')], wanted: 2 };
    one.mesh.log.append(kept as never, one.mesh.log.entries.at(-1)?.sequence ?? 0);
    expect(await one.round()).toEqual({ left: 0, isHopeless: false });
    expect(one.asked).toEqual([]);
  });

  it('hands over what is small, too, where the object store had no room for it', async () => {
    const one = newCase({ bob: 'kept' });
    one.join('bob');
    succeed(one, OBJECT_ALWAYS_BYTES_MAX);
    await one.round();
    expect(one.asked).toEqual(['bob a']);
  });

  it('hands over what attempts left, and counts a task once whatever is left of it', async () => {
    const one = newCase({ bob: 'refused' });
    for (const name of ['me', 'bob']) one.join(name);
    const run = succeed(one, LARGE);
    const { ref } = sampleArtifact(Buffer.from(`${run}`));
    one.leftApart.push({ run, task: a, apart: true, outputs: [{ ...ref, bytes: LARGE }] });
    expect(await one.round()).toMatchObject({ left: 1 });
    expect(new Set(one.asked)).toEqual(new Set(['bob a', 'bob a apart']));
    // The same bytes, once as the output of a success: an answer to the one is none to the other.
    one.successes.length = 0;
    expect(await one.round()).toMatchObject({ left: 1, isHopeless: true });
    one.given.set('bob', 'kept');
    expect(await one.round()).toEqual({ left: 0, isHopeless: false });
    expect(one.asked.at(-1)).toBe('bob a apart');
    // Of a run that is over nobody needs it.
    const over = publishGraph(one.mesh, graphOf({ id: 'a' }));
    one.leftApart.push({ run: over, task: a, apart: true, outputs: [{ ...ref, bytes: LARGE }] });
    one.given.set('bob', 'refused');
    expect(await one.round()).toMatchObject({ left: 1 });
    const end = { kind: 'run-ended', run: over, state: 'succeeded' };
    one.mesh.log.append(end as never, 0);
    expect(await one.round()).toEqual({ left: 0, isHopeless: false });
  });

  it('asks another one where one refuses, and says when none is left', async () => {
    const one = newCase({ bob: 'refused', cid: 'refused' });
    for (const name of ['me', 'bob', 'cid']) one.join(name);
    succeed(one, LARGE);
    expect(await one.round()).toEqual({ left: 1, isHopeless: false });
    expect(await one.round()).toEqual({ left: 1, isHopeless: false });
    expect(new Set(one.asked)).toEqual(new Set(['bob a', 'cid a']));
    expect(await one.round()).toEqual({ left: 1, isHopeless: true });
    one.given.set('bob', 'kept').set('cid', 'kept');
    expect(await one.round()).toEqual({ left: 0, isHopeless: false });
  });

  it('asks nobody who is about to go, or keeps nothing', async () => {
    const one = newCase({ bob: 'kept', cid: 'kept' });
    one.join('bob', { drain: { by: 'x', state: 'drained', unkept: 0 } });
    one.mesh.peers.announce({ ...samplePeer(), peer: peerId('cid') });
    succeed(one, LARGE);
    expect(await one.round()).toEqual({ left: 1, isHopeless: true });
    expect(one.asked).toEqual([]);
  });
});
