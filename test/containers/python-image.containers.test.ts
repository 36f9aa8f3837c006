import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { podman } from '../process-kit/podman-containers.ts';
import { tinyWheel } from '../process-kit/tiny-wheel.ts';

const PODMAN = 'podman';
const IMAGE = 'localhost/podmesh/python:1';
const MINUTES = 60_000;

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface JobRecord {
  readonly status: string;
  readonly result?: unknown;
  readonly error?: string;
  readonly error_type?: string;
  readonly traceback?: string;
  readonly execution_time: number;
  readonly timestamp: string;
  readonly system_info: Readonly<Record<string, unknown>>;
}

describe('the runner in the Python image', () => {
  let folder: string;
  let jobs = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podmesh-python-'));
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  /** As a task is run: no network, no capabilities, inputs that cannot be written to. */
  function inContainer(binds: readonly string[], ...command: readonly string[]): Promise<Outcome> {
    const words = ['run', '--rm', '--network=none', '--cap-drop=all', '--env=JOB_ID=the-task'];
    const all = [...words, ...binds.map((bind) => `--volume=${bind}`), IMAGE, ...command];
    return new Promise((resolve) => {
      execFile(PODMAN, all, { timeout: 5 * MINUTES }, (error, out, err) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
      });
    });
  }

  async function runProgram(
    files: Readonly<Record<string, string>>,
    ...binds: readonly string[]
  ): Promise<Outcome & { readonly record: JobRecord }> {
    jobs += 1;
    const job = join(folder, `job-${jobs}`);
    const out = join(folder, `out-${jobs}`);
    await mkdir(job);
    await mkdir(out);
    for (const [name, text] of Object.entries(files)) await writeFile(join(job, name), text);
    const mounts = [`${job}:/job:ro`, `${out}:/out`, ...binds];
    const ended = await inContainer(mounts, 'podmesh-python-job', 'run', '/out/record.json');
    const record = JSON.parse(await readFile(join(out, 'record.json'), 'utf8')) as JobRecord;
    return { ...ended, record };
  }

  const main = (body: string): Readonly<Record<string, string>> => ({
    'main.py': `import sys\ndef main():\n    ${body}\n`,
  });

  it('keeps what main() returns apart from what it prints', async () => {
    const { code, out, err, record } = await runProgram({
      'main.py': [
        'import os, sys, beside',
        'def main():',
        '    print(\'{"status": "no"}\')',
        '    print("aside", file=sys.stderr)',
        '    return {"sum": beside.ONE + 1.5, "list": (None, True, "ä"), "id": os.environ["JOB_ID"]}',
      ].join('\n'),
      'beside.py': 'ONE = 1\n',
    });
    expect({ code, out, err }).toEqual({ code: 0, out: '{"status": "no"}\n', err: 'aside\n' });
    expect(record).toMatchObject({
      status: 'success',
      result: { sum: 2.5, list: [null, true, 'ä'], id: 'the-task' },
      system_info: { job_id: 'the-task', gpu_device: null },
    });
    expect(record.system_info.python_version).toMatch(/^3\./);
    expect(record.execution_time).toBeGreaterThan(0);
    expect(new Date(record.timestamp).toISOString().slice(0, 19)).toBe(
      record.timestamp.slice(0, 19),
    );
    expect(record.timestamp).toMatch(/\+00:00$/);
  });

  it('tells an error with its type and a traceback of the program alone', async () => {
    const { code, err, record } = await runProgram(main('raise ValueError("no such thing")'));
    expect(code).toBe(1);
    expect(record).toMatchObject({
      status: 'error',
      error: 'no such thing',
      error_type: 'ValueError',
    });
    expect(record.traceback).toContain('File "/job/main.py", line 3, in main');
    expect(record.traceback).not.toContain('podmesh-python-job');
    expect(err).toBe(record.traceback);
  });

  it.each<[string, Readonly<Record<string, string>>, string, RegExp]>([
    ['a missing main.py', { 'other.py': '' }, 'MissingMainFile', /no main\.py at the top/],
    ['a missing main()', { 'main.py': 'main = 3\n' }, 'MissingMainFunction', /no function main/],
    ['an error of syntax', { 'main.py': 'def main(:\n' }, 'SyntaxError', /main\.py, line 1/],
    ['a missing module', main('import nowhere'), 'ModuleNotFoundError', /nowhere/],
    [
      'a set',
      main('return {"rows": [1, {2}]}'),
      'UnserialisableResult',
      /result\['rows'\]\[1\].*set/,
    ],
    ['not a number', main('return float("nan")'), 'UnserialisableResult', /result is nan/],
    ['a list in itself', main('a = []; a.append(a); return a'), 'UnserialisableResult', /itself/],
    ['an exit', main('sys.exit(0)'), 'SystemExit', /exit\(0\) instead of returning/],
    ['an interrupt', main('raise KeyboardInterrupt'), 'KeyboardInterrupt', /^$/],
    ['a stop', main('import os; os.kill(1, 15)'), 'Terminated', /told to stop/],
  ])('gives %s its own error', async (_, files, type, words) => {
    const { code, record } = await runProgram(files);
    expect(code).toBe(1);
    expect(record).toMatchObject({ status: 'error', error_type: type });
    expect(record.error).toMatch(words);
  });

  it('writes JSON whatever a text holds', async () => {
    const { record } = await runProgram(main('return "\\ud800 \\x00 \\u2028"'));
    expect(record.result).toBe('\ud800 \0 \u2028');
  });

  it(
    'installs wheels without a network, the same bytes each time, and finds them',
    async () => {
      const wheels = join(folder, 'wheels');
      await mkdir(wheels);
      const [bytes, file] = tinyWheel('tinything', 42);
      await writeFile(join(wheels, file), bytes);
      for (const layer of ['one', 'two']) {
        await mkdir(join(folder, layer));
        const binds = [`${wheels}:/in/wheels:ro`, `${join(folder, layer)}:/layer`];
        const install = ['podmesh-python-job', 'install', '/layer', 'tinything==1.0'];
        const { code, err } = await inContainer(binds, ...install);
        expect(code, err).toBe(0);
      }
      await podman('unshare', 'diff', '-r', join(folder, 'one'), join(folder, 'two'));
      const layer = `${join(folder, 'one')}:/in/requirements:ro`;
      const { record } = await runProgram(main('import tinything; return tinything.VALUE'), layer);
      expect(record.result).toBe(42);
    },
    8 * MINUTES,
  );

  it('says what pip could not find', async () => {
    const wheels = join(folder, 'wheels');
    const bind = `${wheels}:/in/wheels:ro`;
    const install = ['podmesh-python-job', 'install', '/tmp/layer', 'nosuchthing'];
    const { code, err } = await inContainer([bind], ...install);
    expect(code).toBe(1);
    expect(err).toContain('nosuchthing');
    expect(err).toContain('pip could not install the requirements');
  });
});
