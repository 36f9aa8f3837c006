import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandLine } from '../process-kit/command-line.ts';
import { OwnMachine } from '../process-kit/own-machine.ts';

const MINUTES = 60_000;
const SDK = fileURLToPath(new URL('../../packages/sdk-python', import.meta.url));
const PYTHON = 'localhost/podmesh/python:1';

/** A picture of stripes: each band of 32 lines has one colour more than the others. */
function picture(): Buffer {
  const [width, height] = [64, 96];
  const pixels = Buffer.alloc(width * height * 3, 40);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) pixels[(y * width + x) * 3 + Math.floor(y / 32)] = 200;
  return Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels]);
}

describe('tasks that spawn tasks, on one core', () => {
  let folder: string;
  let machine: OwnMachine;
  let cli: CommandLine;

  beforeAll(async () => {
    machine = await OwnMachine.start(1);
    ({ folder, cli } = machine);
    await cp(SDK, folder, { recursive: true });
    await writeFile(join(folder, 'picture.ppm'), picture());
  }, 8 * MINUTES);

  afterAll(() => machine.stop(), 8 * MINUTES);

  /** An example as the only job of a run: what it printed, and the record. */
  async function example(name: string, env: object = {}, job: object = {}) {
    const whole = {
      id: name,
      container: PYTHON,
      inputs: {
        ...(name === 'burning' ? {} : { 'main.py': `file:examples/${name}.py` }),
        'podmesh.py': 'file:podmesh.py',
        'picture.ppm': 'file:picture.ppm',
      },
      command: ['python3', '/in/main.py', '/in/picture.ppm'],
      outputs: { printed: 'fd:1' },
      needs: { cpus: 1, memory: '64MiB' },
      cache: false,
      ...job,
      env: { PYTHONPATH: '/in', ...env },
    };
    const { code, out, err } = await machine.publish({ jobs: [whole] });
    expect(code, out + err).toBe(0);
    const printed = (await cli.well('get', `last/${name}/printed`, '-o', '-')).trim();
    const record = await machine.record();
    return { printed, record, err };
  }

  it(
    'a function that calls itself comes to its end',
    async () => {
      const { printed, record } = await example('fibonacci', { N: '4' }, { spawn: { depth: 16 } });
      expect(printed).toBe('3');
      // Of the ten calls, one that is found in the cache makes none of its own.
      const { tasks, succeeded } = record.counts;
      expect(tasks).toBeGreaterThanOrEqual(8);
      expect(succeeded).toBe(tasks);
      expect(record.tasks.every(({ attempts }) => attempts.length <= 1)).toBe(true);
    },
    8 * MINUTES,
  );

  it(
    '[tag(p) for p in patches(img)] on a picture',
    async () => {
      const { printed, record } = await example('patches');
      expect(printed).toBe('red red green green blue blue');
      // Patches that look the same are the same task.
      expect(record.counts).toMatchObject({ tasks: 4, succeeded: 4 });
    },
    8 * MINUTES,
  );

  it(
    'a search stops early, and takes back what it asked for',
    async () => {
      const { printed, record } = await example('search');
      expect(printed).toMatch(/^parameter [234] scores (0\.90|1\.00)$/);
      const states = record.tasks.map(({ state }) => state);
      expect(states.filter((state) => state === 'cancelled').length).toBeGreaterThan(5);
      expect(record).toMatchObject({ state: 'succeeded', counts: { tasks: 13, failed: 0 } });
      // What ran for nothing is ended, and its cores are free again.
      const [task] = record.tasks;
      expect(task?.state).toBe('succeeded');
    },
    8 * MINUTES,
  );

  it(
    'a budget of CPU time ends what burns it, wherever it is, and nothing more is spawned',
    async () => {
      const program = [
        'import podmesh',
        'burn = {"command": ["sh", "-c", "while :; do :; done"], "retries": 3}',
        'tasks = podmesh.spawn_all([{**burn, "needs": {"cpus": 0.25}, "id": i} for i in ("x", "y")])',
        'for task in tasks:',
        '    print(task.wait()["failure"]["kind"])',
        'try:',
        '    podmesh.spawn({"command": ["true"]})',
        'except podmesh.PodmeshError as refused:',
        '    print(refused.code)',
      ].join('\n');
      const spawn = { cpuSeconds: 4 };
      const job = { spawn, command: ['python3', '-c', program] };
      const { printed, record, err } = await example('burning', {}, job);
      expect(printed.split('\n')).toEqual(['cancelled', 'cancelled', 'budget-exceeded']);
      expect(err).toMatch(/what burning spawned used \d+ s of CPU time, its budget/);
      expect(record.tasks.map(({ attempts }) => attempts.length)).toEqual([1, 1, 1]);
      expect(record.state).toBe('succeeded');
    },
    8 * MINUTES,
  );
});
