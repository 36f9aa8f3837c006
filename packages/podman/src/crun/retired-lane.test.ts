import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerId, type RunningContainer } from '@podmesh/core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AttemptFiles } from './attempt-files.ts';
import { CrunUnavailableError } from './crun-errors.ts';
import { hasCrunAttempts, lanePlaces } from './lane-places.ts';
import type { PinApi } from './recipe-book.ts';
import { type OpenLane, openRetiredLane, type RetiredLaneOptions } from './retired-lane.ts';

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

/** What runs as a chain does: it holds its `release`, and goes when the test wants it to. */
async function addChain(directory: string, claim: string, script: string): Promise<ChildProcess> {
  const files = new AttemptFiles(join(lanePlaces(directory).attemptsOf(peerId('p')), claim));
  await rm(files.release);
  execFileSync('mkfifo', [files.release]);
  const state = join(lanePlaces(directory).state, `podmesh-${claim}`);
  const words = ['-c', `exec 3<>"$1"; echo held; ${script}`, 'sh', files.release, state];
  const child = spawn('bash', words, { stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

const unavailable = new CrunUnavailableError('no busybox');
const PEER = peerId('p');

/** A lane, and what was done with it; a Podman that lists a pin of it. */
function testLane(directory: string, open?: () => Promise<void>) {
  const said: string[] = [];
  const found: RunningContainer[] = [];
  const lane: OpenLane = {
    leftovers: async (peer) => {
      said.push(`leftovers ${peer}`);
      return found;
    },
    close: async () => void said.push('close'),
  };
  const pin = { Id: 'pin', Labels: { 'podmesh.recipe': directory }, State: 'created' };
  const api = {
    list: async () => [pin],
    inspect: async () => ({ Config: { Entrypoint: ['-'] } }),
    remove: async (id: string) => void said.push(`remove ${id}`),
  } as unknown as PinApi;
  const options: RetiredLaneOptions = {
    ...{ directory, peer: PEER, api, pausesMs: [0, 0] },
    open: async () => {
      said.push('open');
      await open?.();
      return lane;
    },
  };
  return { said, found, lane, retire: () => openRetiredLane(options) };
}

/** What fails so often, and then does not. */
function failing(times: number, error: Error): () => Promise<void> {
  return async () => {
    if (times-- > 0) throw error;
  };
}

describe('a lane that is not used any more', () => {
  it('is not opened when nothing of it is there', async () => {
    for (const directory of [await newDirectory(), '/nowhere']) {
      const { said, retire } = testLane(directory);
      expect(await retire()).toEqual({ kind: 'none' });
      expect(said).toEqual([]);
    }
  });

  it('is swept once when a daemon was killed in it', async () => {
    const directory = await newDirectory();
    for (const name of ['bases', 'tools/x'])
      await mkdir(join(directory, name), { recursive: true });
    const { said, retire } = testLane(directory);
    expect(await retire()).toEqual({ kind: 'none' });
    expect(said).toEqual(['open', 'leftovers p', 'close']);
    expect(existsSync(directory)).toBe(false);
    expect(await retire()).toEqual({ kind: 'none' });
    expect(said).toHaveLength(3);
  });

  it('is swept again at the next start where something could not be deleted', async () => {
    const directory = await newDirectory();
    await mkdir(join(directory, 'trash', 'x'), { recursive: true });
    const { said, retire } = testLane(directory);
    await retire();
    await retire();
    expect(said.filter((step) => step === 'open')).toHaveLength(2);
    expect(existsSync(join(directory, 'trash', 'x'))).toBe(true);
  });

  it('is swept as far as that goes when it cannot be opened', async () => {
    const directory = await newDirectory();
    for (const name of ['run/fifos', 'bases'])
      await mkdir(join(directory, name), { recursive: true });
    const { said, retire } = testLane(directory, failing(1, new Error('no answer')));
    expect(await retire()).toEqual({ kind: 'none', problem: 'no answer' });
    expect(said).toEqual(['open', 'remove pin']);
    expect(await readdir(directory)).toEqual(['bases']);
  });

  it('is kept for what is in it, and closed when that is gone', async () => {
    const directory = await newDirectory();
    await addAttempt(directory, 'c');
    const { said, found, retire } = testLane(directory);
    const retired = await retire();
    if (retired.kind !== 'kept') throw new Error(retired.kind);
    found.push({} as RunningContainer);
    expect(await retired.lane.leftovers(PEER)).toHaveLength(1);
    expect(said).not.toContain('close');
    found.pop();
    await rm(lanePlaces(directory).attempts, { recursive: true });
    expect(await retired.lane.leftovers(PEER)).toEqual([]);
    expect(await retired.lane.leftovers(PEER)).toEqual([]);
    await retired.lane.close();
    expect(said).toEqual(['open', 'leftovers p', 'leftovers p', 'close']);
  });

  it('is emptied when it cannot work here, and no process of others is touched', async () => {
    const directory = await newDirectory();
    await addAttempt(directory, 'c');
    const container = await addRecord(directory, 'podmesh-c');
    // The number was given to another process since.
    const stranger = await addRecord(directory, 'podmesh-old', 1);
    const gone = once(container, 'exit');
    const { said, retire } = testLane(directory, failing(9, unavailable));
    expect(await retire()).toEqual({ kind: 'ended', problem: 'no busybox' });
    expect(await gone).toEqual([null, 'SIGKILL']);
    expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null]);
    expect(await hasCrunAttempts(directory)).toBe(false);
    expect(said).toEqual(['open', 'remove pin']);
    expect(existsSync(lanePlaces(directory).run)).toBe(false);
  });

  it('is emptied of a container whose crun writes its record late', async () => {
    const directory = await newDirectory();
    await addAttempt(directory, 'c');
    // Nothing ends that one before the records were looked at once.
    const first = await addRecord(directory, 'podmesh-first');
    const late = [
      `while kill -0 ${first.pid}; do :; done; mkdir "$2"`,
      'sleep 1000 >/dev/null & read -r -a stat <"/proc/$!/stat"',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell expands it
      'printf \'{"pid":%s,"process-start-time":%s}\' "$!" "${stat[21]}" >"$2/status"',
      'wait "$!"',
    ];
    const chain = await addChain(directory, 'c', late.join('\n'));
    const ended = once(chain, 'exit');
    const { retire } = testLane(directory, failing(9, unavailable));
    expect(await retire()).toMatchObject({ kind: 'ended' });
    expect(await ended).toEqual([137, null]);
  });

  it('lets a chain go that waits until its exit was read', async () => {
    const directory = await newDirectory();
    await addAttempt(directory, 'c');
    const chain = await addChain(directory, 'c', 'read -r _ <&3');
    const ended = once(chain, 'exit');
    await testLane(directory, failing(9, unavailable)).retire();
    expect(await ended).toEqual([0, null]);
  });
});

describe('a lane that cannot be opened at this moment', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });

  it('is tried again before anything is ended', async () => {
    const directory = await newDirectory();
    await addAttempt(directory, 'c');
    const { said, retire } = testLane(directory, failing(2, full));
    expect(await retire()).toMatchObject({ kind: 'kept' });
    expect(said).toEqual(['open', 'open', 'open']);
  });

  it.each([
    full,
    new CrunUnavailableError('podman unshare does not work: no space left on device', full),
  ])('keeps what runs in it: $message', async (error) => {
    const directory = await newDirectory();
    await addAttempt(directory, 'c');
    const container = await addRecord(directory, 'podmesh-c');
    const { said, retire } = testLane(directory, failing(9, error));
    await expect(retire()).rejects.toMatchObject({
      name: 'RetiredLaneError',
      message: expect.stringMatching(/no space left on device.*They go on/s),
    });
    expect(said).toEqual(['open', 'open', 'open']);
    expect([container.exitCode, container.signalCode]).toEqual([null, null]);
    expect(await hasCrunAttempts(directory)).toBe(true);
  });
});
