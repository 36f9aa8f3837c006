import { DRIVES_PER_PEER_MAX, type RunId } from '@podmesh/core';
import { freshRun, sampleEnded, samplePublished } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { newBench, settled, silent } from '../daemon.test-kit.ts';
import type { DriveEnding } from './driver.ts';
import { Drives } from './drives.ts';

function newDrives(
  drive: (run: RunId, signal: AbortSignal) => Promise<DriveEnding>,
  parked = () => 0,
) {
  const bench = newBench();
  const driven: RunId[] = [];
  const { log, leases, drives: queue } = bench.ports;
  const drives = new Drives({
    parked,
    log,
    leases,
    queue,
    clock: bench.process.clock,
    logger: silent,
    drive: (run, signal) => {
      driven.push(run);
      return drive(run, signal);
    },
  });
  const stop = () => settled(bench.clock, drives.stop());
  const publish = () => {
    const run = freshRun();
    bench.mesh.log.append(samplePublished(run), 0);
    bench.mesh.drives.publish(run);
    return run;
  };
  return { ...bench, drives, driven, stop, publish };
}

/** Drives until it is told to stop. */
const patiently = (_: RunId, signal: AbortSignal): Promise<DriveEnding> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve('stopped'), { once: true });
  });

it('a drive is gone from the queue once its run has ended', async () => {
  const { drives, driven, stop, publish, mesh, clock } = newDrives(async () => 'ended');
  drives.start();
  const run = publish();
  await clock.advance(1_000);
  expect(driven).toEqual([run]);
  expect(mesh.drives.all()).toEqual([]);
  expect(drives.driving).toBe(0);
  await stop();
});

it('a lost drive is published again, unless the run has ended', async () => {
  const { drives, driven, stop, publish, mesh, clock } = newDrives(patiently);
  const [lost, ended] = [publish(), publish()];
  mesh.log.append(sampleEnded(ended), 0);
  expect(mesh.loseDrives()).toBe(2);
  drives.start();
  await clock.advance(29_000);
  expect(driven).toEqual([]);
  await clock.advance(2_000);
  expect(driven).toEqual([lost]);
  await clock.advance(120_000);
  expect(driven).toEqual([lost]);
  await stop();
});

it('a drive that fails comes again', async () => {
  let failures = 2;
  const { drives, driven, stop, publish, clock } = newDrives(async () => {
    failures -= 1;
    if (failures >= 0) throw new Error('the log was away');
    return 'ended';
  });
  drives.start();
  publish();
  await clock.advance(10_000);
  expect(driven).toHaveLength(3);
  await stop();
});

it('a copy of a drive at work here is dropped', async () => {
  const { drives, driven, stop, publish, mesh, clock } = newDrives(patiently);
  drives.start();
  publish();
  await clock.advance(100);
  expect(mesh.duplicateDrives()).toBe(1);
  await clock.advance(1_000);
  expect(driven).toHaveLength(1);
  expect(mesh.drives.all()).toHaveLength(1);
  await stop();
});

it('a peer drives no more than it may, and hands over all when it is stopped', async () => {
  const { drives, stop, publish, mesh, clock } = newDrives(patiently);
  drives.start();
  for (let count = 0; count < DRIVES_PER_PEER_MAX + 3; count += 1) publish();
  await clock.advance(60_000);
  expect(drives.driving).toBe(DRIVES_PER_PEER_MAX);
  await stop();
  expect(drives.driving).toBe(0);
  expect(mesh.drives.all()).toHaveLength(DRIVES_PER_PEER_MAX + 3);
});

it('runs that wait for a person leave their places to others', async () => {
  let parked = 0;
  const { drives, driven, stop, publish, clock } = newDrives(patiently, () => parked);
  drives.start();
  for (let count = 0; count < DRIVES_PER_PEER_MAX + 1; count += 1) publish();
  await clock.advance(60_000);
  expect(driven).toHaveLength(DRIVES_PER_PEER_MAX);
  parked = 1;
  await clock.advance(60_000);
  expect(driven).toHaveLength(DRIVES_PER_PEER_MAX + 1);
  await stop();
});
