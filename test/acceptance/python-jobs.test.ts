import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunRecord } from '@podmesh/core';
import { makeZip } from '@podmesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandLine, Said } from '../process-kit/command-line.ts';
import { OwnMachine } from '../process-kit/own-machine.ts';
import { tinyWheel } from '../process-kit/tiny-wheel.ts';

const MINUTES = 60_000;
const EXAMPLE = fileURLToPath(new URL('../../deploy/examples/python', import.meta.url));

const MAIN = `
import os
def main():
    print('{"not": "the result"}')
    return {'squares': [n * n for n in range(4)], 'id': os.environ['JOB_ID']}
`;
const FAILS = 'def main():\n    raise ValueError("these numbers\\ndo not add up")\n';

describe('Python jobs on a machine of its own', () => {
  let folder: string;
  let machine: OwnMachine;
  let cli: CommandLine;

  beforeAll(async () => {
    machine = await OwnMachine.start();
    ({ folder, cli } = machine);
  }, 8 * MINUTES);

  afterAll(() => machine.stop(), 8 * MINUTES);

  async function publish(...jobs: readonly object[]): Promise<Said> {
    return machine.publish({ jobs });
  }

  async function program(name: string, main: string): Promise<string> {
    await mkdir(join(folder, name), { recursive: true });
    await writeFile(join(folder, name, 'main.py'), main);
    return name;
  }

  const record = (): Promise<RunRecord> => machine.record();

  async function resultOf(task: string): Promise<Readonly<Record<string, unknown>>> {
    const { code, out, err } = await cli.run('get', `last/${task}/result`, '-o', '-');
    expect(code, err).toBe(0);
    return JSON.parse(out) as Readonly<Record<string, unknown>>;
  }

  it(
    'run a zip file, keep the result apart from the log, and come from the cache the second time',
    async () => {
      const zip = makeZip([
        { name: 'main.py', content: MAIN, compressed: true },
        { name: 'data/', mode: 0o040755 },
      ]);
      await writeFile(join(folder, 'code.zip'), zip);
      const job = { id: 'squares', job: { python: 'code.zip' } };
      const { code, out, err } = await publish(job);
      expect(code, out + err).toBe(0);
      expect(await resultOf('squares')).toMatchObject({
        status: 'success',
        result: { squares: [0, 1, 4, 9], id: 'squares' },
        system_info: { job_id: 'squares', gpu_device: null },
      });
      expect(await cli.well('logs', 'last/squares')).toContain('{"not": "the result"}');
      expect((await publish(job)).out).toContain('1 from the cache');
    },
    8 * MINUTES,
  );

  it(
    'keep the record of an error, which show, explain and the end of the run tell in a line',
    async () => {
      const { code, out } = await publish({
        id: 'sums',
        job: { python: await program('fails', FAILS) },
      });
      expect(code).toBe(1);
      expect(out).toContain('ValueError: these numbers do not add up');
      const [task] = (await record()).tasks;
      expect(task).toMatchObject({ state: 'failed', exit: { code: 1 }, failure: { kind: 'exit' } });
      const kept = await resultOf('sums');
      expect(kept).toMatchObject({
        status: 'error',
        error_type: 'ValueError',
        error: 'these numbers\ndo not add up',
      });
      expect(kept.traceback).toContain('File "/job/main.py", line 2, in main');
      const shown = await cli.well('show', 'last');
      expect(shown).toContain('exit: ValueError: these numbers do not add up');
      const explained = await cli.well('explain', 'last/sums');
      expect(explained).toContain('ValueError: these numbers do not add up');
      expect(explained).toContain('/sums/result');
    },
    8 * MINUTES,
  );

  it(
    'give what is wrong with main() its own error',
    async () => {
      const { code, out } = await publish(
        { id: 'none', job: { python: await program('none', 'x = 1\n') } },
        { id: 'set', job: { python: await program('set', 'def main():\n    return {1}\n') } },
      );
      expect(code).toBe(1);
      expect(out).toContain('MissingMainFunction: main.py defines no function main()');
      expect(out).toContain('UnserialisableResult: main() returned what is not JSON');
      expect(await cli.well('explain', 'last/none')).toContain('Define main() in main.py');
    },
    8 * MINUTES,
  );

  it('are refused with all that is wrong with their files, before anything starts', async () => {
    await writeFile(join(folder, 'broken.zip'), 'PK but no more');
    const evil = makeZip([{ name: 'main.py' }, { name: '../../evil.py' }]);
    await writeFile(join(folder, 'evil.zip'), evil);
    await writeFile(join(folder, 'empty.zip'), makeZip([{ name: 'code/main.py' }]));
    const before = await cli.well('ps', '--json');
    const { code, err } = await publish(
      { job: { python: 'broken.zip' } },
      { job: { python: 'evil.zip' } },
      { job: { python: 'empty.zip' } },
      { job: { python: 'nowhere.zip' } },
      { job: { python: 'empty.zip', requirements: 'nowhere.txt' } },
    );
    expect(code).toBe(2);
    expect(err).toMatch(/jobs\[0\]\.job\.python: the zip file .*broken\.zip is broken/);
    expect(err).toMatch(/jobs\[1\]\.job\.python: .*writes outside of its directory: .*evil\.py/);
    expect(err).toMatch(/jobs\[2\]\.job\.python: there is no main\.py at the top/);
    expect(err).toMatch(/jobs\[3\]\.job\.python: there is no .*nowhere\.zip/);
    expect(err).toMatch(/jobs\[4\]\.job\.requirements: there is no .*nowhere\.txt/);
    expect(await cli.well('ps', '--json')).toBe(before);
  });

  it(
    'have their requirements installed once, in a layer of its own',
    async () => {
      const [wheel, file] = tinyWheel('tinything', 42);
      await mkdir(join(folder, 'wheels'), { recursive: true });
      await writeFile(join(folder, 'wheels', file), wheel);
      const uses = (more: string) =>
        `def main():\n    import tinything\n    return tinything.VALUE${more}\n`;
      const wants = { requirements: ['tinything==1.0'], wheels: 'wheels' };
      const first = { id: 'first', job: { python: await program('first', uses('')), ...wants } };
      const { code, out, err } = await publish(first);
      expect(code, out + err).toBe(0);
      expect(await resultOf('first')).toMatchObject({ status: 'success', result: 42 });
      const tasks = (await record()).tasks.map(({ task, cached }) => ({ task, cached }));
      expect(tasks).toEqual([
        { task: 'first', cached: false },
        { task: expect.stringMatching(/^requirements-[0-9a-f]{12}$/), cached: false },
      ]);
      const other = {
        id: 'other',
        job: { python: await program('other', uses(' + 1')), ...wants },
      };
      expect((await publish(first, other)).code).toBe(0);
      expect(await resultOf('other')).toMatchObject({ result: 43 });
      expect((await record()).tasks.map(({ cached }) => cached)).toEqual([true, false, true]);
    },
    8 * MINUTES,
  );

  it(
    'say that a requirement cannot be had',
    async () => {
      const wants = { requirements: ['nosuchthing'], wheels: 'wheels' };
      const job = { python: await program('first', MAIN), ...wants };
      const { code, out } = await publish({ id: 'a', job });
      expect(code).toBe(1);
      expect(out).toContain('nosuchthing');
      expect((await record()).tasks[0]).toMatchObject({ state: 'skipped' });
    },
    8 * MINUTES,
  );

  it(
    'run the example that comes with podmesh',
    async () => {
      await cp(EXAMPLE, join(folder, 'example'), { recursive: true });
      const flights = new URL(
        '../../node_modules/vega-datasets/data/flights-200k.json',
        import.meta.url,
      );
      const graph = await readFile(join(EXAMPLE, 'graph.yaml'), 'utf8');
      await cp(fileURLToPath(flights), join(folder, 'example/flights.json'));
      const here = graph.replace(/file:[^"]*/, 'file:flights.json');
      await writeFile(join(folder, 'example/graph.yaml'), here);
      const { code, out, err } = await cli.run('run', 'example/graph.yaml');
      expect(code, out + err).toBe(0);
      expect(await resultOf('worst')).toMatchObject({ result: { flights: 200_000 } });
      const { out: log } = await cli.run('logs', 'last/count:3');
      expect(log).toContain('count:3 counted');
    },
    8 * MINUTES,
  );
});
