import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OwnMachine } from '../process-kit/own-machine.ts';
import { untilSeen } from '../process-kit/within.ts';

const MINUTES = 60_000;
const LOOK_MS = 500;
const SDK = fileURLToPath(new URL('../../packages/sdk-python/podmesh.py', import.meta.url));
/** Runs until its peer was away and is back, which a connection to it tells. */
const UNTIL_BACK = `
import socket, time
def dial():
    held = socket.socket(socket.AF_UNIX)
    held.connect("/run/podmesh.sock")
    return held
try:
    while True:
        dial().recv(1)
except OSError:
    pass
while True:
    try:
        dial()
        break
    except OSError:
        time.sleep(0.1)
`;
const MAIN = `
import podmesh
job = {"command": ["python3", "-c", ${JSON.stringify(UNTIL_BACK)}], "needs": {"cpus": 0.5, "memory": "64MiB"}}
task = podmesh.spawn(job, key="until-back")
state = task.wait()["state"]
print(podmesh.me()["attempt"], state)
`;

let machine: OwnMachine;

beforeAll(async () => {
  machine = await OwnMachine.start();
  await cp(SDK, join(machine.folder, 'podmesh.py'));
  await writeFile(join(machine.folder, 'main.py'), MAIN);
}, 8 * MINUTES);

afterAll(() => machine.stop(), 8 * MINUTES);

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
    const published = await machine.publish({ jobs }, '--detach');
    expect(published.code, published.err).toBe(0);
    let states: readonly string[] = [];
    const areRunning = async (): Promise<boolean> => {
      states = (await machine.record()).tasks.map(({ task, state }) => `${task} ${state}`);
      return states.filter((one) => one.endsWith(' running')).length === 4;
    };
    await untilSeen(4 * MINUTES, () => `four tasks to run: ${states}`, areRunning, LOOK_MS);
    process.kill((await machine.daemon()).pid, 'SIGKILL');
    await machine.up();
    const { code, out, err } = await machine.cli.run('wait', 'last');
    expect(code, out + err).toBe(0);
    const { tasks } = await machine.record();
    expect(tasks.map(({ attempts }) => attempts.length)).toEqual([1, 1, 1, 1]);
    for (const lane of ['crun', 'podman']) {
      const printed = await machine.cli.well('get', `last/${lane}/printed`, '-o', '-');
      expect(printed).toBe('1 succeeded\n');
    }
  },
  15 * MINUTES,
);
