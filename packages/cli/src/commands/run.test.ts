import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { INLINE_VALUE_BYTES_MAX, PortError } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { FakeDriver } from '../fake-driver.test-kit.ts';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { livingChild } from '../home/child.test-kit.ts';
import { digestOf, peerEntry } from '../sample-run.test-kit.ts';

/** A world with a document of two jobs, one after the other. */
async function world(jobs: readonly object[] = JOBS): Promise<FakeWorld> {
  const made = new FakeWorld();
  await writeFile(
    join(made.directory, 'doc.json'),
    JSON.stringify({ version: 1, name: 'n', jobs }),
  );
  await writeFile(join(made.directory, 'input.txt'), 'the input');
  // Otherwise every run would warn that nobody has its image.
  const images = { [digestOf('image')]: ['localhost/a:1'] };
  await made.others.peers.announce(peerEntry('oak', { images }));
  return made;
}

const JOBS = [
  {
    id: 'a',
    container: 'localhost/a:1',
    inputs: { x: 'file:input.txt' },
    outputs: { out: 'fd:1' },
  },
  { id: 'b', container: 'localhost/a:1', after: ['a'] },
];

/** Starts `podmesh run`, and a driver once the run is published. */
async function running(made: FakeWorld, ...words: readonly string[]) {
  const code = made.run(['run', 'doc.json', ...words]);
  await made.terminal.until(words.includes('--json') ? '"published"' : 'run ');
  return { code, driver: await FakeDriver.newest(made) };
}

describe('podmesh run', () => {
  it('uploads, publishes, asks for a driver and follows to the end', async () => {
    const made = await world();
    const { code, driver } = await running(made);
    expect(await made.others.drives.waiting()).toEqual(new Set([driver.run]));
    expect(await made.home.lastRun()).toBe(driver.run);
    expect(made.mesh.artifacts.has(digestOf('the input'))).toBe(true);
    await driver.start('a');
    await driver.succeed('a', { out: 'result' });
    await driver.start('b');
    await driver.succeed('b');
    await driver.end('succeeded');
    expect(await code).toBe(0);
    expect(made.terminal.stderr).toContain(
      'a started on oak (attempt 1)\na succeeded in 0.4 s\nb started on oak (attempt 1)\n',
    );
    expect(made.terminal.stdout).toContain(`run ${driver.run} succeeded`);
    expect(made.terminal.stdout).toContain(`  a/out  ${digestOf('result')}`);
  });

  it('exits with 1 when the run failed, and says which task, how, and where to see more', async () => {
    const made = await world();
    const { code, driver } = await running(made);
    await driver.start('a');
    await driver.fail('a');
    await driver.end('failed');
    expect(await code).toBe(1);
    const { stdout } = made.terminal;
    expect(stdout).toContain('a failed: exit (the command ended with a failure)');
    expect(stdout).toContain('    oh no\n');
    expect(stdout).toContain(`podmesh logs ${driver.run}/a`);
  });

  it('tells programs one event per line, the record last', async () => {
    const made = await world();
    const { code, driver } = await running(made, '--json');
    await driver.start('a');
    await driver.fail('a');
    await driver.end('failed');
    expect(await code).toBe(1);
    const lines = made.terminal.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ kind }) => kind)).toEqual(['published', 'started', 'failed', 'ended']);
    expect(lines[3]).toMatchObject({
      run: driver.run,
      state: 'failed',
      record: { counts: { failed: 1, skipped: 1 }, tasks: [{ task: 'a' }, { task: 'b' }] },
    });
  });

  it('prints just the run id when detached', async () => {
    const made = await world();
    expect(await made.run(['run', 'doc.json', '--detach'])).toBe(0);
    const { run } = await FakeDriver.newest(made);
    expect(made.terminal.stdout).toBe(`${run}\n`);
    expect(made.terminal.stderr).toBe('');
  });

  it('detaches at Ctrl-C with 130 and says how to look again', async () => {
    const made = await world();
    const { code, driver } = await running(made);
    made.interrupt();
    expect(await code).toBe(130);
    expect(made.terminal.stderr).toContain(`look again with: podmesh wait ${driver.run}`);
  });

  it('ends with 4 when only a person can make it go on, and says what to type', async () => {
    const made = await world();
    const { code, driver } = await running(made);
    await driver.hold('a');
    expect(await code).toBe(4);
    const { stdout, stderr } = made.terminal;
    expect(stderr).toContain(`held for a person: podmesh explain ${driver.run}/a`);
    expect(stdout).toContain(`run ${driver.run} waits for a person: 2 tasks, 1 held\n`);
    expect(stdout).toContain(`podmesh release ${driver.run}\n`);
    expect(stdout).toContain(`podmesh cancel ${driver.run}\n`);
    expect(stderr).not.toContain('temporary');
  });

  it('goes on while something else runs, and tells programs what is held', async () => {
    const made = await world([
      { id: 'a', container: 'x' },
      { id: 'b', container: 'x' },
    ]);
    const { code, driver } = await running(made, '--json');
    await driver.start('b');
    await driver.hold('a');
    await made.terminal.until('"held":true');
    await driver.succeed('b');
    expect(await code).toBe(4);
    const lines = made.terminal.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.at(-2)).toMatchObject({ kind: 'succeeded', task: 'b' });
    expect(lines.at(-1)).toMatchObject({
      kind: 'held',
      run: driver.run,
      tasks: ['a'],
      record: { state: 'running', tasks: [{ state: 'held' }, { state: 'succeeded' }] },
    });
  });

  it('says once that the mesh is gone, and goes on when it is back', async () => {
    const made = await world();
    const { code, driver } = await running(made);
    await driver.start('a');
    await made.terminal.until('a started');
    made.reach('away');
    made.reach('here');
    made.reach('stands-still');
    await driver.fail('a');
    await driver.end('failed');
    expect(await code).toBe(1);
    const said = made.terminal.stderr.split('\n').filter((line) => line.includes('the mesh'));
    expect(said).toEqual([
      'lost the connection to the mesh; the run goes on without us, waiting until it is back',
      'the mesh is back',
      'the mesh stands still: too few of its anchors answer; everything waits, and goes on when they are back',
    ]);
  });

  it('shows one live line on a terminal', async () => {
    const made = await world();
    made.terminal.isLive = true;
    const { code, driver } = await running(made);
    await driver.start('a');
    await made.terminal.until('1 running: a (oak)');
    await driver.fail('a');
    await driver.end('failed');
    expect(await code).toBe(1);
    expect(made.terminal.stderr).not.toContain('a started');
    expect(made.terminal.stderr).toContain('\r\u001b[Ka failed (attempt 1)');
    expect(made.terminal.stderr.endsWith('\r\u001b[K')).toBe(true);
  });

  it('publishes a large graph as an artifact', async () => {
    const jobs = Array.from({ length: 2_000 }, (_, job) => ({
      id: `j${job}`,
      container: 'localhost/a:1',
    }));
    const made = await world(jobs);
    expect(await made.run(['run', 'doc.json', '--detach'])).toBe(0);
    const [graph] = made.mesh.artifacts.values();
    expect(graph?.bytes.length).toBeGreaterThan(INLINE_VALUE_BYTES_MAX);
    expect(await made.run(['show', 'last', '--json'])).toBe(0);
    expect(made.terminal.stdout).toContain('"tasks":2000');
  });
});

describe('podmesh run refuses', () => {
  it('a wrong document with 2 and every problem, before anything is started', async () => {
    const made = await world([
      { id: 'a', container: 'x', inputs: { x: 'file:none', y: 'jobs:z/o' } },
    ]);
    expect(await made.run(['run', 'doc.json', '--json'])).toBe(2);
    const { error } = JSON.parse(made.terminal.stderr);
    expect(error).toMatchObject({ kind: 'document', exitCode: 2 });
    expect(error.problems).toHaveLength(2);
    expect(await made.others.log.runs()).toEqual([]);
  });

  it('an artifact that the mesh does not have', async () => {
    const made = await world([{ id: 'a', container: 'x', inputs: { x: digestOf('gone') } }]);
    expect(await made.run(['run', 'doc.json'])).toBe(2);
    expect(made.terminal.stderr).toContain(`jobs[0].inputs.x: the mesh has no artifact`);
  });

  it('root, naming the way out', async () => {
    const made = await world();
    for (const command of [['run', 'doc.json'], ['up']]) {
      expect(await made.run(command, { isRoot: true })).toBe(2);
    }
    expect(made.terminal.stderr).toContain('scripts/rootless npx podmesh up');
    expect(await made.run(['run', 'doc.json', '--detach', '--allow-root'], { isRoot: true })).toBe(
      0,
    );
  });

  it('with 3 when no mesh can be reached', async () => {
    const made = await world();
    const connect = async () => {
      throw new PortError('no mesh answers', { retryable: true });
    };
    expect(await made.run(['run', 'doc.json'], { connect })).toBe(3);
    expect(await made.run(['ps', '--nats', 'nats://x'], { connect })).toBe(3);
    expect(await made.run(['ps'], { env: {} })).toBe(3);
    expect(made.terminal.stderr).toContain('Start one with "podmesh up --detach"');
  });
});

describe('without a daemon', () => {
  /** Changes to a world in which a temporary peer can be started; `pid` of its process. */
  function startable(made: FakeWorld, pids: readonly number[]) {
    const started: (readonly string[])[] = [];
    const asked: string[] = [];
    const daemon = {
      ...made.world().daemon,
      startInBackground: async (words: readonly string[]) => {
        const pid = pids[started.push(words) - 1];
        const file = { pid, peer: 'p', nats: 'nats://temporary', temporary: true };
        await made.home.prepare();
        await writeFile(made.home.at('daemon.json'), JSON.stringify(file));
        return { peer: 'p', nats: 'nats://temporary' };
      },
    };
    const connect = async (url: string) => {
      asked.push(url);
      return made.client(url);
    };
    return { started, asked, changes: { env: {}, daemon, connect } };
  }

  it('starts a temporary peer and says how to have one that stays', async () => {
    const made = await world();
    const { pid } = await livingChild('daemon');
    const { started, asked, changes } = startable(made, [pid]);
    expect(await made.run(['run', 'doc.json', '--detach'], changes)).toBe(0);
    expect(started).toEqual([['--until-idle']]);
    expect(asked).toEqual(['nats://temporary']);
    expect(made.terminal.stderr).toContain('"podmesh up" makes one that stays');
  });

  it('says that the temporary peer does not stay for what is held', async () => {
    const made = await world();
    const { pid } = await livingChild('daemon');
    const { changes } = startable(made, [pid]);
    const code = made.run(['run', 'doc.json'], changes);
    await made.terminal.until('run ');
    await (await FakeDriver.newest(made)).hold('a');
    expect(await code).toBe(4);
    expect(made.terminal.stderr).toContain('for a peer that stays: podmesh up --detach');
  });

  it('starts another when that has left before it knew of the run', async () => {
    const made = await world();
    const { pid } = await livingChild('daemon');
    const { started, changes } = startable(made, [2 ** 22 + 1, pid]);
    expect(await made.run(['run', 'doc.json', '--detach'], changes)).toBe(0);
    expect(started).toHaveLength(2);
  });

  it('fails with the words of a daemon that does not start', async () => {
    const made = await world();
    expect(await made.run(['run', 'doc.json'], { env: {} })).toBe(1);
    expect(made.terminal.stderr).toContain('the daemon did not start');
    expect(await readFile(join(made.directory, 'input.txt'), 'utf8')).toBe('the input');
  });
});
