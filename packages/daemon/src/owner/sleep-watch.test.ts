import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirectProcess, VirtualClock } from '@podmesh/testkit';
import { systemClock } from '@podmesh/transfer';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silent } from '../daemon.test-kit.ts';
import { FakeSystemBus } from './fake-system-bus.test-kit.ts';
import { SleepWatch, type SleepWatchParts } from './sleep-watch.ts';
import { SystemBus } from './system-bus.ts';

/** A `systemd-inhibit` that writes down when the lock is held, and when it was let go. */
async function fakeInhibit() {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-inhibit-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const log = join(folder, 'log');
  await writeFile(log, '');
  const script = `#!/bin/sh\necho "held $*" >> ${log}\ncat > /dev/null\necho "let go" >> ${log}\n`;
  await writeFile(join(folder, 'systemd-inhibit'), script);
  await chmod(join(folder, 'systemd-inhibit'), 0o755);
  const lines = async () => (await readFile(log, 'utf8')).split('\n').filter(Boolean);
  return { path: `${folder}:${process.env.PATH}`, lines };
}

function newWatch(parts: Pick<SleepWatchParts, 'bus' | 'env'> & Partial<SleepWatchParts>) {
  const said: string[] = [];
  const watch = new SleepWatch({
    uptimeMs: () => systemClock.nowMs(),
    goodNight: async () => void said.push('good night'),
    goodMorning: async () => void said.push('good morning'),
    clock: systemClock,
    logger: silent,
    ...parts,
  });
  onTestFinished(() => watch.stop());
  watch.start();
  return { watch, said };
}

describe('a machine that goes to sleep', () => {
  it('is held awake until everything is given back, and greeted when it is awake again', async () => {
    const fake = await FakeSystemBus.start();
    const inhibit = await fakeInhibit();
    const env = { ...fake.env, PATH: inhibit.path };
    const bus = new SystemBus(env);
    onTestFinished(() => bus.stop());
    let isDone: () => void = () => undefined;
    const said: string[] = [];
    const goodNight = () => {
      said.push('good night');
      return new Promise<void>((resolve) => {
        isDone = resolve;
      });
    };
    const goodMorning = async () => void said.push('good morning');
    const { watch } = newWatch({ bus, env, goodNight, goodMorning });
    await expect
      .poll(async () => (await inhibit.lines())[0])
      .toContain('--what=sleep --mode=delay');
    fake.prepareForSleep(true);
    await expect.poll(() => said).toEqual(['good night']);
    expect(await inhibit.lines()).toHaveLength(1);
    isDone();
    await expect.poll(async () => (await inhibit.lines()).at(-1)).toBe('let go');
    fake.prepareForSleep(false);
    await expect.poll(() => said).toEqual(['good night', 'good morning']);
    await expect.poll(async () => (await inhibit.lines()).length).toBe(3);
    await watch.stop();
    await expect.poll(async () => (await inhibit.lines()).at(-1)).toBe('let go');
    await watch.stop();
  });

  it('without a word is greeted all the same, by the clock that went on meanwhile', async () => {
    const virtual = new VirtualClock();
    const { clock } = new DirectProcess('p', virtual);
    let sleptMs = 0;
    const bus = { listen: () => Promise.reject(new Error('there is no bus')) };
    const uptimeMs = () => clock.nowMs() + sleptMs;
    const { said, watch } = newWatch({ bus, env: {}, clock, uptimeMs });
    await virtual.advance(60_000);
    sleptMs = 3_000;
    await virtual.advance(10_000);
    expect(said).toEqual([]);
    sleptMs += 3_600_000;
    await virtual.advance(2_000);
    expect(said).toEqual(['good morning']);
    await virtual.advance(60_000);
    expect(said).toHaveLength(1);
    const stopped = watch.stop();
    await virtual.advance(1);
    await stopped;
  });
});
