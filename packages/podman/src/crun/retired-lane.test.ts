import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerId } from '@podmesh/core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AttemptFiles } from './attempt-files.ts';
import { hasCrunAttempts, lanePlaces } from './lane-places.ts';
import { openRetiredLane } from './retired-lane.ts';

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-retired-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** As an attempt looks that a chain was started for. */
async function addAttempt(directory: string, claim: string): Promise<void> {
  const files = new AttemptFiles(join(lanePlaces(directory).attemptsOf(peerId('p')), claim));
  await mkdir(files.directory, { recursive: true });
  for (const path of [files.config, ...files.fifos]) await writeFile(path, '');
}

/** crun's record of a container, whose process is a `sleep`. */
async function addRecord(directory: string, id: string, later = 0): Promise<ChildProcess> {
  const child = spawn('sleep', ['1000']);
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child, 'spawn');
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ');
  const record = { pid: child.pid, 'process-start-time': Number(stat[21]) + later };
  const place = join(lanePlaces(directory).state, id);
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'status'), JSON.stringify(record));
  return child;
}

const cannotOpen = () => Promise.reject(new Error('no busybox'));

describe('a lane that is not used any more', () => {
  it('is not opened when nothing is in it', async () => {
    expect(await openRetiredLane(await newDirectory(), cannotOpen)).toEqual({ kind: 'none' });
    expect(await openRetiredLane('/nowhere', cannotOpen)).toEqual({ kind: 'none' });
  });

  it('is kept for what is in it', async () => {
    const directory = await newDirectory();
    await addAttempt(directory, 'c');
    const opened = await openRetiredLane(directory, async () => 'the lane');
    expect(opened).toEqual({ kind: 'kept', lane: 'the lane' });
  });

  it('is emptied when it cannot be opened, and no process of others is touched', async () => {
    const directory = await newDirectory();
    await addAttempt(directory, 'c');
    const container = await addRecord(directory, 'podmesh-c');
    // The number was given to another process since.
    const stranger = await addRecord(directory, 'podmesh-old', 1);
    const gone = once(container, 'exit');
    const opened = await openRetiredLane(directory, cannotOpen);
    expect(opened).toEqual({ kind: 'ended', problem: 'no busybox' });
    expect(await gone).toEqual([null, 'SIGKILL']);
    expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null]);
    expect(await hasCrunAttempts(directory)).toBe(false);
  });
});
