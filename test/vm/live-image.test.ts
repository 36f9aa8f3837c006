import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PeerEntry, type RunRecord, TASK_PIDS_MAX } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shell } from '../process-kit/busybox-graph.ts';
import { Ending } from '../process-kit/ending.ts';
import { untilSeen } from '../process-kit/within.ts';
import { figuresOf } from './guest-run.ts';
import { HostPeer } from './host-peer.ts';
import { tell } from './speak.ts';

const script = (name: string): string =>
  fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
const BUILD_MS = 20 * 60_000;
/** An emulated computer boots in minutes, and then takes its first image over an emulated wire. */
const LIMIT_MS = 20 * 60_000;
const HOST = 'host';
const MIB = 2 ** 20;

describe('a computer that was started from the stick', () => {
  const ending = new Ending();
  let folder: string;
  let host: HostPeer;
  let image: string;
  let guest: string;

  const consoleOf = () => readFile(join(folder, 'machine', 'console.log'), 'utf8').catch(String);
  const pullPlug = () => tell([script('vm'), 'stop', join(folder, 'machine')]);
  const recordOf = async (run: string) => (await host.tellJson('show', run)) as RunRecord;

  async function peers(): Promise<readonly PeerEntry[]> {
    return (await host.tellJson('peers')) as readonly PeerEntry[];
  }

  /** Published, not waited for; its id. */
  async function publish(jobs: readonly object[]): Promise<string> {
    const graph = {
      version: 1,
      jobs: jobs.map((job) => ({ container: image, cache: false, ...job })),
    };
    const { code, out, err } = await host.feed(graph, 'run', '-', '--detach', '--json');
    expect(code, out + err).toBe(0);
    return (JSON.parse(out) as { run: string }).run;
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podmesh-stick-'));
    ending.defer(() => rm(folder, { recursive: true, force: true }));
    const stick = join(folder, 'stick.iso');
    await tell([script('live-image'), stick]);
    host = await HostPeer.start(HOST);
    ending.defer(() => host.stop());
    image = await host.pushBusybox();
    await tell([script('live-image'), '--line', stick], `${await host.invite()}\n`);
    ending.defer(pullPlug);
    await tell([script('vm'), 'stick', join(folder, 'machine'), stick]);
  }, BUILD_MS);

  afterAll(async () => {
    await ending.end();
  }, LIMIT_MS);

  it(
    'is a peer that holds tasks to their limits, without a hand on it',
    async () => {
      let told = '';
      const isThere = async (): Promise<boolean> => {
        told = (await consoleOf()).slice(-2_000);
        const found = (await peers()).find(({ peer }) => peer !== HOST);
        if (found === undefined || found.paused !== undefined) return false;
        guest = found.peer;
        expect(found.limits).toMatchObject({ memory: 'kernel', cpus: 'kernel', pids: 'kernel' });
        return true;
      };
      await untilSeen(LIMIT_MS, () => `a second peer; its console: ${told}`, isThere);
      const members = (await host.tellJson('members')) as readonly { name: string; role: string }[];
      expect(members).toContainEqual(expect.objectContaining({ name: guest, role: 'peer' }));
    },
    LIMIT_MS,
  );

  it(
    'runs the tasks of others, with an image and a wire that were never its own',
    async () => {
      await host.tell('drain');
      const run = await publish([
        {
          id: 'limits',
          needs: { cpus: 0.5, memory: '64MiB' },
          command: shell(
            'cd /sys/fs/cgroup; for file in memory.max memory.swap.max pids.max cpu.max; do',
            'echo "$file $(cat $file)"; done',
          ),
          outputs: { report: 'fd:1' },
        },
      ]);
      expect((await host.run('wait', run)).code).toBe(0);
      const [task] = (await recordOf(run)).tasks;
      // An image that takes long to come is no fault of the task.
      expect(task?.attempts.at(-1), JSON.stringify(task)).toMatchObject({ peer: guest });
      expect(figuresOf(await host.tell('get', `${run}/limits/report`, '-o', '-'))).toEqual({
        'memory.max': String(64 * MIB),
        'memory.swap.max': '0',
        'pids.max': String(TASK_PIDS_MAX),
        'cpu.max': '50000 100000',
      });
    },
    LIMIT_MS,
  );

  it(
    'may lose its power: its tasks are finished elsewhere',
    async () => {
      const command = shell('sleep 20; echo done');
      const run = await publish(
        ['one', 'two'].map((id) => ({ id, command, outputs: { word: 'fd:1' } })),
      );
      const atWork = async (): Promise<boolean> =>
        (await recordOf(run)).tasks.every(({ state }) => state === 'running');
      await untilSeen(LIMIT_MS, () => `both tasks to be at work on ${guest}`, atWork);
      await pullPlug();
      await host.tell('undrain');
      expect((await host.run('wait', run)).code).toBe(0);
      const { state, tasks } = await recordOf(run);
      expect(state).toBe('succeeded');
      for (const { attempts } of tasks) {
        expect(attempts.map(({ peer }) => peer)).toEqual([guest, HOST]);
        expect(attempts.at(0)?.outcome).toBe('peer-lost');
      }
      expect(await host.tell('get', `${run}/two/word`, '-o', '-')).toBe('done\n');
    },
    LIMIT_MS,
  );
});
