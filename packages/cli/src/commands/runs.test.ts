import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LOG_BYTES_MAX, type RunId, taskId } from '@podmesh/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeDriver } from '../fake-driver.test-kit.ts';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { digestOf, peerEntry } from '../sample-run.test-kit.ts';

let world: FakeWorld;
let driver: FakeDriver;
let run: RunId;

/** Runs a command line; its exit code and what it printed, of this command alone. */
async function podmesh(...argv: readonly string[]) {
  world.terminal.stdout = '';
  world.terminal.stderr = '';
  const code = await world.run(argv);
  return { code, out: world.terminal.stdout, err: world.terminal.stderr };
}

async function publish(...jobs: readonly object[]): Promise<FakeDriver> {
  const document = {
    version: 1,
    jobs: jobs.map((job) => ({ container: 'localhost/a:1', ...job })),
  };
  await writeFile(join(world.directory, 'doc.json'), JSON.stringify(document));
  expect((await podmesh('run', 'doc.json', '--detach')).code).toBe(0);
  return FakeDriver.newest(world);
}

beforeEach(async () => {
  world = new FakeWorld();
  driver = await publish(
    { id: 'a', outputs: { out: 'fd:1' } },
    { id: 'arr', count: 2, outputs: { part: 'fd:1' } },
    { id: 'end', after: ['a'] },
  );
  run = driver.run;
});

describe('naming runs', () => {
  it('takes last, an id, and the beginning of one', async () => {
    for (const name of ['last', run, run.slice(0, 6)]) {
      expect((await podmesh('show', name)).out).toContain(`run        ${run}`);
    }
  });

  it('refuses what names none or several with 2', async () => {
    expect(await podmesh('show', 'zzzzzzzzzzzz')).toMatchObject({ code: 2 });
    expect((await podmesh('show', 'UPPER')).err).toContain('there is no run "UPPER"');
    expect((await podmesh('logs', 'last/nobody')).err).toContain('Its jobs: a, arr, end');
    expect((await podmesh('logs', 'last/are')).err).toContain('Did you mean arr?');
    expect((await podmesh('get', 'last/arr:7/part')).err).toContain('Which tasks arr has');
    const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
    for (const _ of letters) await publish({ id: 'x' });
    // 37 runs and 36 letters: two begin alike.
    const answers = await Promise.all([...letters].map((letter) => world.run(['show', letter])));
    expect(answers).toContain(2);
    expect(world.terminal.stderr).toContain('several runs begin with');
  });
});

describe('ps, show, wait and cancel', () => {
  it('list a running run and its counts', async () => {
    await driver.start('a');
    await driver.succeed('a', { out: 'x' });
    const { code, out } = await podmesh('ps', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject([
      { run, state: 'running', tasks: 4, counts: { succeeded: 1 }, publisher: 'me@here' },
    ]);
    expect((await podmesh('ps')).out).toContain('1/4');
  });

  it('list a run that turned out to have fewer tasks, or more, with those it has', async () => {
    const split = { id: 'split', container: 'localhost/tool:1', outputs: { list: 'file:/list' } };
    const each = { id: 'each', container: 'localhost/tool:1', forEach: 'jobs:split/list' };
    driver = await publish(split, each);
    await driver.start('split');
    await driver.succeed('split', { list: '' });
    expect((await podmesh('ps')).out).toContain('1/2');
    await driver.expandToNothing('each');
    expect((await podmesh('ps')).out).toContain('1/1');
  });

  it('show the record as one line of JSON', async () => {
    await driver.start('a');
    const record = JSON.parse((await podmesh('show', 'last', '--json')).out);
    expect(record).toMatchObject({ podmeshRecord: 1, run, state: 'running' });
    expect(record.tasks.map(({ task }: { task: string }) => task)).toEqual([
      'a',
      'arr:0',
      'arr:1',
      'end',
    ]);
  });

  it('show what the record tells once the log is purged', async () => {
    const kept = { podmeshRecord: 1, run, state: 'succeeded', counts: { tasks: 0 }, tasks: [] };
    await driver.end('succeeded', JSON.stringify(kept));
    const { out } = await podmesh('show', 'last', '--json');
    expect(JSON.parse(out)).toMatchObject({ ...kept, endedAt: expect.any(String) });
    expect((await podmesh('wait', 'last')).code).toBe(0);
    expect((await podmesh('explain', 'last')).out).toContain('only its record is left');
  });

  it('show and explain a failed Python job in its own words, and get its record', async () => {
    const record = { status: 'error', error_type: 'ModuleNotFoundError', error: 'no\nnumpy' };
    await mkdir(join(world.directory, 'code'));
    await writeFile(join(world.directory, 'code/main.py'), 'import numpy');
    driver = await publish({ id: 'py', container: 'localhost/python:1', job: { python: 'code' } });
    const outputs = { result: await driver.store(JSON.stringify(record)) };
    await driver.start('py');
    await driver.fail('py', '', { outputs });
    expect((await podmesh('show', 'last')).out).toContain('exit: ModuleNotFoundError: no numpy');
    const explained = (await podmesh('explain', 'last/py')).out;
    expect(explained).toContain('ModuleNotFoundError: no numpy');
    expect(explained).toContain('under "requirements"');
    expect((await podmesh('get', 'last/py/result', '-o', '-')).out).toBe(JSON.stringify(record));
    expect((await podmesh('show', 'last', '--json')).out).toContain('the command exited with 3');
  });

  it('wait exits like run', async () => {
    const code = world.run(['wait', 'last', '--json']);
    await driver.start('a');
    await driver.fail('a');
    for (const task of ['arr:0', 'arr:1']) {
      await driver.start(task);
      await driver.succeed(task);
    }
    await driver.end('failed');
    expect(await code).toBe(1);
    expect(JSON.parse(world.terminal.stdout.split('\n').at(-2) ?? '')).toMatchObject({
      run,
      state: 'failed',
    });
  });

  it('wait ends with 4 when only a person can make it go on, at once when that is so already', async () => {
    const code = world.run(['wait', 'last']);
    await driver.hold('a');
    for (const task of ['arr:0', 'arr:1']) {
      await driver.start(task);
      await driver.succeed(task);
    }
    expect(await code).toBe(4);
    expect(world.terminal.stdout).toContain('waits for a person: 4 tasks, 2 succeeded, 1 held');
    const again = await podmesh('wait', 'last', '--json');
    expect(again.code).toBe(4);
    expect(JSON.parse(again.out)).toMatchObject({ run, state: 'running' });
  });

  it('count what is held', async () => {
    await driver.hold('a');
    const [listed] = JSON.parse((await podmesh('ps', '--json')).out);
    expect(listed).toMatchObject({ state: 'running', counts: { held: 1 } });
    for (const task of ['arr:0', 'arr:1']) await driver.hold(task);
    expect((await podmesh('ps')).out).toMatch(/ held +0\/4 +0 +3 +0 /);
    expect((await podmesh('show', 'last')).out).toContain('3 tasks held for a person');
  });

  it('cancel once, say so the second time, and refuse after the end', async () => {
    expect((await podmesh('cancel', 'last', '--reason', 'no')).out).toContain('is being cancelled');
    expect((await podmesh('cancel', 'last')).out).toContain('was being cancelled already');
    expect((await podmesh('ps')).out).toContain('cancelling');
    await driver.end('cancelled');
    const again = await podmesh('cancel', 'last', '--json');
    expect(again.code).toBe(1);
    expect(JSON.parse(again.err)).toMatchObject({ error: { kind: 'not-available', exitCode: 1 } });
    expect((await podmesh('wait', 'last')).code).toBe(1);
  });
});

describe('logs and explain', () => {
  it('print the log of one task as it is, and of many with marks', async () => {
    await driver.start('a');
    await driver.succeed('a');
    expect((await podmesh('logs', 'last/a')).out).toBe('log of a\n');
    expect((await podmesh('logs', 'last')).out).toBe('a | log of a\n');
    expect((await podmesh('logs', 'last/end')).err).toContain('end has no log: it never started');
  });

  it('print what came live of a task whose peer vanished, and why that is all', async () => {
    await driver.hold('a');
    const nothing = await podmesh('logs', 'last/a');
    expect(nothing.err).toBe('a has no log: attempt 2 left no log (peer-lost)\n');
    const task = taskId('a');
    world.others.liveLog.write({ run, task, attempt: 2, bytes: Buffer.from('last words\n') });
    const { out, err } = await podmesh('logs', 'last/a');
    expect(out).toBe('last words\n');
    expect(err).toContain('the peer of attempt 2 vanished');
  });

  it('say beside a log that it is not whole, and why', async () => {
    for (const task of ['a', 'arr:0', 'arr:1']) await driver.start(task);
    await driver.failWithHole('a', 'the beginning\n');
    await driver.failWithHole('arr:0', 'x'.repeat(9), LOG_BYTES_MAX);
    await driver.failWithHole('arr:1', '');
    const hole = (task: string, why: string) =>
      `(the log of attempt 1 of ${task} is not whole: ${why})\n`;
    const lost = 'its peer could not keep all of it';
    const beginning = { out: 'the beginning\n', err: hole('a', lost) };
    expect(await podmesh('logs', 'last/a')).toMatchObject(beginning);
    expect(await podmesh('logs', 'last/a', '-f')).toMatchObject(beginning);
    expect((await podmesh('logs', 'last/a', '--json')).out).toBe(
      '{"task":"a","attempt":1,"text":"the beginning","truncated":true}\n',
    );
    const cut = 'only its first 256 MiB are kept';
    expect((await podmesh('logs', 'last/arr:0')).err).toBe(hole('arr:0', cut));
    expect(await podmesh('logs', 'last/arr:1')).toMatchObject({
      out: '',
      err: hole('arr:1', lost),
    });
    const { out, err } = await podmesh('logs', 'last');
    expect(out).toBe(`a | the beginning\narr:0 | ${'x'.repeat(9)}\n`);
    expect(err).toBe([hole('a', lost), hole('arr:0', cut), hole('arr:1', lost)].join(''));
  });

  it('follow no task that is held', async () => {
    await driver.hold('a');
    const { code, err } = await podmesh('logs', 'last/a', '-f');
    expect(code).toBe(0);
    expect(err).toContain(`a is held for a person; see why: podmesh explain ${run}/a`);
  });

  it('explain a task and a run', async () => {
    await world.others.peers.announce(peerEntry('oak'));
    expect((await podmesh('explain', 'last/a')).out).toContain('oak could take it now');
    expect((await podmesh('explain', 'last/end')).out).toContain('it waits for a');
    const explained = JSON.parse((await podmesh('explain', 'last', '--json')).out);
    expect(explained).toMatchObject({ kind: 'run', driveQueued: true, peers: 1 });
    expect((await podmesh('peers')).out).toContain('oak');
  });
});

describe('get and put', () => {
  beforeEach(async () => {
    for (const task of ['a', 'arr:0', 'arr:1']) await driver.start(task);
    await driver.succeed('a', { out: 'result' });
    await driver.succeed('arr:0', { part: 'zero' });
    await driver.succeed('arr:1', { part: 'one' });
  });
  const read = (...names: readonly string[]) => readFile(join(world.directory, ...names), 'utf8');

  it('fetch a file, by name, element or digest', async () => {
    expect((await podmesh('get', 'last/a/out')).code).toBe(0);
    expect(await read('out')).toBe('result');
    expect((await podmesh('get', 'last/arr:1/part', '-o', '-')).out).toBe('one');
    expect((await podmesh('get', digestOf('zero'), '-o', 'new/zero')).code).toBe(0);
    expect(await read('new', 'zero')).toBe('zero');
  });

  it('fetch all elements of an array job as a directory, in order', async () => {
    expect((await podmesh('get', 'last/arr/part', '-o', 'all')).code).toBe(0);
    expect([await read('all', '0'), await read('all', '1')]).toEqual(['zero', 'one']);
    expect((await podmesh('get', 'last/arr/part', '-o', '-')).code).toBe(2);
  });

  it('fetch a directory without entries of a job that had no elements, and explain it', async () => {
    driver = await publish(
      { id: 'list', outputs: { lines: 'fd:1' } },
      { id: 'each', forEach: 'jobs:list/lines', outputs: { part: 'fd:1' } },
    );
    await driver.start('list');
    await driver.succeed('list', { lines: '' });
    await driver.expandToNothing('each');
    expect((await podmesh('get', 'last/each/part', '-o', 'none')).code).toBe(0);
    expect(await readdir(join(world.directory, 'none'))).toEqual([]);
    expect((await podmesh('explain', 'last/each')).out).toContain('it goes over 0 elements');
    expect((await podmesh('logs', 'last/each')).err).toContain('its elements are tasks');
  });

  it('refuse to overwrite unless told, and put into an existing directory', async () => {
    await writeFile(join(world.directory, 'out'), 'mine');
    const refused = await podmesh('get', 'last/a/out');
    expect([refused.code, await read('out')]).toEqual([2, 'mine']);
    expect((await podmesh('get', 'last/a/out', '--force')).code).toBe(0);
    expect(await read('out')).toBe('result');
    await mkdir(join(world.directory, 'there'));
    const { out } = await podmesh('get', 'last/a/out', '-o', 'there', '--force', '--json');
    expect(JSON.parse(out)).toMatchObject({ path: join(world.directory, 'there', 'out') });
  });

  it('say why there is nothing to fetch', async () => {
    expect(await podmesh('get', 'last/end/x')).toMatchObject({ code: 1 });
    expect((await podmesh('get', 'last/a/x')).err).toContain('It has: out.');
    expect(await podmesh('get', 'last/nobody/x')).toMatchObject({ code: 2 });
    expect(await podmesh('get', digestOf('never'))).toMatchObject({ code: 1 });
  });

  it('store files and directories and print their digest', async () => {
    await writeFile(join(world.directory, 'f'), 'stored');
    expect((await podmesh('put', 'f')).out).toBe(`${digestOf('stored')}\n`);
    const { out } = await podmesh('put', '.', '--json');
    expect(JSON.parse(out)).toMatchObject({ kind: 'dir' });
    expect(await podmesh('put', 'gone')).toMatchObject({ code: 2 });
  });
});

describe('doctor', () => {
  it('exits with 1 when something is wrong, and prints the repair', async () => {
    expect((await podmesh('doctor')).code).toBe(0);
    const wrong = [
      { check: 'subuid', ok: false, required: true, found: 'none', repair: 'usermod …' },
    ];
    const daemon = { ...world.world().daemon, examine: async () => wrong };
    expect(await world.run(['doctor'], { daemon })).toBe(1);
    expect(world.terminal.stdout).toMatch(/WRONG +subuid +none\n +usermod …\n/);
  });
});

describe('a mesh that stands still', () => {
  it('is told to whoever waits for an answer', async () => {
    const client = world.client();
    const list = async () => {
      world.reach('stands-still');
      world.reach('here');
      return client.peers.list();
    };
    const connect = async () => ({ ...client, peers: { ...client.peers, list } });
    world.terminal.stderr = '';
    expect(await world.run(['peers'], { connect })).toBe(0);
    expect(world.terminal.stderr.split('\n')).toEqual([
      'the mesh stands still: too few of its anchors answer; everything waits, and goes on when they are back',
      'the mesh is back',
      '',
    ]);
  });
});
