import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunRecord } from '@podmesh/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CommandLine } from '../process-kit/command-line.ts';
import { removeFolder } from '../process-kit/remove-folder.ts';

const MINUTES = 60_000;
const SDK = fileURLToPath(new URL('../../packages/sdk-python/podmesh.py', import.meta.url));
const MAIN = `
import podmesh
nap = "import time; time.sleep(8)"
task = podmesh.spawn({"command": ["python3", "-c", nap], "needs": {"cpus": 0.5, "memory": "64MiB"}}, key="nap")
state = task.wait()["state"]
print(podmesh.me()["attempt"], state)
`;

let folder: string;
let cli: CommandLine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podmesh-socket-'));
  cli = new CommandLine(join(folder, 'home'), folder);
  await cp(SDK, join(folder, 'podmesh.py'));
  await writeFile(join(folder, 'main.py'), MAIN);
  await up();
}, 2 * MINUTES);

afterAll(async () => {
  await cli.run('down');
  await removeFolder(folder);
}, 2 * MINUTES);

async function up(): Promise<void> {
  const { code, err } = await cli.run('up', '--detach', '--cores', '2');
  expect(code, err).toBe(0);
}

async function shown(): Promise<RunRecord> {
  return JSON.parse((await cli.run('show', 'last', '--json')).out) as RunRecord;
}

it(
  'a task that waits in either lane goes on when its daemon was killed and is back',
  async () => {
    const jobs = ['crun', 'podman'].map((runtime) => ({
      ...{ id: runtime, runtime, container: 'localhost/podmesh/python:1', cache: false },
      inputs: { 'main.py': 'file:main.py', 'podmesh.py': 'file:podmesh.py' },
      env: { PYTHONPATH: '/in' },
      command: ['python3', '/in/main.py'],
      outputs: { printed: 'fd:1' },
      needs: { cpus: 0.5, memory: '64MiB' },
    }));
    await writeFile(join(folder, 'graph.json'), JSON.stringify({ version: 1, jobs }));
    expect((await cli.run('run', 'graph.json', '--detach')).code).toBe(0);
    const isRunning = (record: RunRecord) =>
      record.tasks.filter(({ state }) => state === 'running').length === 4;
    while (!isRunning(await shown()));
    const { pid } = JSON.parse(await readFile(join(folder, 'home', 'daemon.json'), 'utf8')) as {
      pid: number;
    };
    process.kill(pid, 'SIGKILL');
    await up();
    const { code, out, err } = await cli.run('wait', 'last');
    expect(code, out + err).toBe(0);
    const { tasks } = await shown();
    expect(tasks.map(({ attempts }) => attempts.length)).toEqual([1, 1, 1, 1]);
    for (const lane of ['crun', 'podman']) {
      const printed = await cli.run('get', `last/${lane}/printed`, '-o', '-');
      expect(printed.out).toBe('1 succeeded\n');
    }
  },
  3 * MINUTES,
);
