import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type ArtifactId, type Graph, taskId } from '@podmesh/core';
import { expect } from 'vitest';
import { busyboxGraph, shell } from './busybox-graph.ts';
import type { DaemonProcess } from './daemon-process.ts';
import type { PublishedRun } from './published-run.ts';
import { untilSeen } from './within.ts';

export const LARGE_MIB = 64;
export const LARGE_BYTES = LARGE_MIB * 2 ** 20;
const ARRIVAL_MS = 240_000;
const BLOCK_BYTES = 512;
/** The rest may be on its way. */
const NEARLY_ALL = 0.7;

/** The label of a peer on which alone such a job can run. */
export const placed = (place: string): readonly string[] => ['--label', `place=${place}`];

/** A job in one place makes a file of bytes that were never there before, one in another reads it. */
export function madeAndRead(make: string, read: string, mib = LARGE_MIB): Graph {
  const needs = (place: string) => ({ labels: [`place=${place}`] });
  return busyboxGraph([
    {
      id: 'make',
      cache: false,
      needs: needs(make),
      command: shell(
        `dd if=/dev/urandom of=/tmp/large bs=1M count=${mib}`,
        'sha256sum < /tmp/large > /tmp/sum',
      ),
      outputs: { large: 'file:/tmp/large', sum: 'file:/tmp/sum' },
    },
    {
      id: 'read',
      cache: false,
      needs: needs(read),
      command: shell('sha256sum < /in/large > /tmp/sum'),
      inputs: { large: 'jobs:make/large' },
      outputs: { sum: 'file:/tmp/sum' },
    },
  ]);
}

/** The large file, once it was made. */
export async function untilMade(run: PublishedRun): Promise<ArtifactId> {
  const made = await run.until('attempt-succeeded', ({ task }) => task === taskId('make'));
  const large = made.event.result.outputs.large;
  if (large === undefined) throw new Error(run.told());
  return large.digest;
}

/** That the reader read what was made, at its first attempt. */
export async function expectReadWell(run: PublishedRun): Promise<void> {
  expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
  expect(run.violations()).toEqual([]);
  expect(run.of('attempt-started')).toHaveLength(2);
  const { 'make/sum': made, 'read/sum': read } = run.outputs();
  expect(read).toBe(made);
}

/** Resolves when a part of the artifact is on the daemon's disk, and no more than a part was a moment before. */
export async function untilArriving(daemon: DaemonProcess, artifact: ArtifactId): Promise<void> {
  const what = () => `a first part of ${artifact} at ${daemon.name}`;
  await untilSeen(ARRIVAL_MS, what, () => isArriving(daemon, artifact));
}

/** Freezes the source when a part of the artifact is there; false: all of it was, before we could. */
export async function caughtHalfWay(
  run: PublishedRun,
  reader: DaemonProcess,
  source: DaemonProcess,
): Promise<boolean> {
  const large = await untilMade(run);
  const isOver = () => run.of('run-ended').length > 0;
  const what = () => `a first part of ${large} at ${reader.name}; ${run.told()}`;
  await untilSeen(ARRIVAL_MS, what, () => isArriving(reader, large) || isOver());
  source.freeze();
  if (isArriving(reader, large)) return true;
  source.thaw();
  return false;
}

function isArriving({ options }: DaemonProcess, artifact: ArtifactId): boolean {
  const hex = artifact.slice('sha256:'.length);
  const partial = join(options.home, 'store', 'partial', hex, 'bytes');
  // The file has its full length from the beginning: what counts is what fills it.
  const blocks = statSync(partial, { throwIfNoEntry: false })?.blocks ?? 0;
  return blocks > 0 && blocks * BLOCK_BYTES < NEARLY_ALL * LARGE_BYTES;
}
