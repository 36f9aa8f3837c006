import { type AnchorRecord, type Clock, type PeerEntry, peerId } from '@podmesh/core';
import { samplePeer, VirtualClock } from '@podmesh/testkit';
import type { Logger } from 'pino';
import { expect, it } from 'vitest';
import { silent } from '../daemon.test-kit.ts';
import { AutoAnchorsWatch } from './auto-anchors-watch.ts';

const PATIENCE = { steadyMs: 60_000, silentMs: 120_000, gapMs: 300_000 };

const peer = (name: string): PeerEntry => ({
  ...samplePeer(name),
  hardware: { cpuFlags: [], gpus: [], battery: false },
  keeps: { freeBytes: 0, host: `host of ${name}` },
  standing: { uptimeSeconds: 1e6, freeDiskBytes: 1e12, serverVersion: '2.15.1', clockMs: 0 },
});

const record = (...names: readonly string[]): AnchorRecord => ({
  generation: 1,
  ...(names.length > 1 ? { cluster: 'c' } : {}),
  anchors: names.map((name) => ({
    ...{ peer: peerId(name), server: `${name}-server`, client: '10.0.0.1:4222' },
  })),
});

const clockOf = (time: VirtualClock): Clock => ({
  nowMs: () => time.nowMs(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const end = (): void => {
        signal?.removeEventListener('abort', end);
        resolve();
      };
      time.after(ms, end);
      signal?.addEventListener('abort', end);
    }),
});

/** A watch on a mesh that a test changes, by a clock that a test moves. */
function newWatch(...there: readonly string[]) {
  const time = new VirtualClock();
  const mesh = {
    record: record('ann') as AnchorRecord | undefined,
    there,
    answering: ['ann-server'] as readonly string[] | undefined,
    refusal: undefined as string | undefined,
    trouble: new Error('nobody answers'),
  };
  const told: string[] = [];
  const logger = { ...silent, warn: ({ err }: { err: Error }) => told.push(err.message) };
  const asked: string[] = [];
  const watch = new AutoAnchorsWatch({
    self: peerId('ann'),
    peers: { list: async () => mesh.there.map(peer) },
    record: () => mesh.record,
    answering: async () => {
      if (mesh.answering === undefined) throw mesh.trouble;
      return mesh.answering;
    },
    change: (wanted) => {
      asked.push(wanted.join(' '));
      if (mesh.refusal !== undefined) throw new Error(mesh.refusal);
    },
    clock: clockOf(time),
    logger: logger as unknown as Logger,
    patience: PATIENCE,
  });
  watch.start();
  const pass = async (ms: number) => {
    await time.run(time.nowMs() + ms);
  };
  return { mesh, asked, told, pass, watch };
}

it('makes three of one, and one more try takes as long again', async () => {
  const { mesh, asked, pass, watch } = newWatch('ann', 'bob', 'cid');
  await pass(PATIENCE.steadyMs);
  expect(asked).toEqual([]);
  mesh.refusal = 'cid does not answer';
  await pass(PATIENCE.steadyMs / 5);
  expect(asked).toEqual(['ann bob cid']);
  await pass(PATIENCE.steadyMs / 2);
  expect(asked).toHaveLength(1);
  await pass(PATIENCE.steadyMs);
  expect(asked).toHaveLength(2);
  await watch.stop();
  await pass(10 * PATIENCE.steadyMs);
  expect(asked).toHaveLength(2);
});

it('replaces one whose server is silent, and nobody while the mesh itself cannot tell', async () => {
  const { mesh, asked, pass, watch } = newWatch('ann', 'bob', 'dan');
  mesh.record = record('ann', 'bob', 'cid');
  mesh.answering = undefined;
  await pass(10 * PATIENCE.silentMs);
  expect(asked).toEqual([]);
  mesh.answering = ['ann-server', 'bob-server', 'cid-server'];
  await pass(10 * PATIENCE.silentMs);
  expect(asked).toEqual([]);
  mesh.answering = ['ann-server', 'bob-server'];
  await pass(PATIENCE.silentMs / 2);
  expect(asked).toEqual([]);
  await pass(PATIENCE.silentMs);
  expect(asked).toEqual(['ann bob dan']);
  await watch.stop();
});

it('leaves what a person made of them alone for as long as it takes to know who is steady', async () => {
  const { mesh, asked, pass, watch } = newWatch('ann', 'bob', 'cid');
  mesh.record = record('ann', 'bob', 'cid');
  mesh.answering = ['ann-server', 'bob-server', 'cid-server'];
  await pass(10 * PATIENCE.steadyMs);
  mesh.record = { ...record('ann'), generation: 2 };
  await pass(PATIENCE.steadyMs);
  expect(asked).toEqual([]);
  await pass(PATIENCE.steadyMs / 5);
  expect(asked).toEqual(['ann bob cid']);
  await watch.stop();
});

it('does nothing while this peer carries nothing', async () => {
  const { mesh, asked, pass, watch } = newWatch('ann', 'bob', 'cid');
  mesh.record = undefined;
  await pass(10 * PATIENCE.steadyMs);
  expect(asked).toEqual([]);
  await watch.stop();
});

it('says why it cannot look, once for each kind of trouble', async () => {
  const { mesh, told, pass, watch } = newWatch('ann', 'bob', 'dan');
  mesh.record = record('ann', 'bob', 'cid');
  mesh.answering = undefined;
  await pass(PATIENCE.silentMs);
  expect(told).toEqual(['nobody answers']);
  mesh.trouble = new TypeError('no leader');
  await pass(PATIENCE.silentMs);
  expect(told.slice(1)).toEqual(['no leader']);
  mesh.answering = ['ann-server', 'bob-server', 'cid-server'];
  await pass(PATIENCE.steadyMs);
  expect(told).toHaveLength(2);
  // It was over in between.
  mesh.answering = undefined;
  await pass(PATIENCE.silentMs);
  expect(told.slice(2)).toEqual(['no leader']);
  await watch.stop();
});
