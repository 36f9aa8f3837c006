import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunEvent, type RunId, taskId } from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeDriver } from '../fake-driver.test-kit.ts';
import { FakeWorld } from '../fake-world.test-kit.ts';

let world: FakeWorld;
let driver: FakeDriver;
let run: RunId;

beforeEach(async () => {
  world = new FakeWorld();
  const jobs = [{ id: 'a' }, { id: 'arr', count: 3 }].map((job) => ({ container: 'x', ...job }));
  await writeFile(join(world.directory, 'doc.json'), JSON.stringify({ version: 1, jobs }));
  expect(await world.run(['run', 'doc.json', '--detach'])).toBe(0);
  driver = await FakeDriver.newest(world);
  ({ run } = driver);
});

/** Runs the command; before its first append, `meanwhile` happens. */
async function release(words: readonly string[], meanwhile?: () => Promise<void>) {
  world.terminal.stdout = '';
  world.terminal.stderr = '';
  const connect = async (): Promise<Client> => {
    const client = world.client();
    let pending = meanwhile;
    const append: Client['runLog']['append'] = async (event, expected) => {
      const first = pending;
      pending = undefined;
      await first?.();
      return client.runLog.append(event, expected);
    };
    const { runLog: log } = client;
    const runLog: Client['runLog'] = {
      append,
      lastOfTask: log.lastOfTask.bind(log),
      read: log.read.bind(log),
      follow: log.follow.bind(log),
      runs: log.runs.bind(log),
      cancellations: log.cancellations.bind(log),
      isOver: log.isOver.bind(log),
    };
    return { ...client, runLog };
  };
  const code = await world.run(['release', ...words], { connect });
  return { code, out: world.terminal.stdout, err: world.terminal.stderr };
}

async function released(): Promise<readonly RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const batch of world.others.log.read(run)) events.push(...batch.map((l) => l.event));
  return events.filter(({ kind }) => kind === 'task-released');
}

/** What another person does. */
async function releasedByOther(task: string): Promise<void> {
  const last = await world.others.log.lastOfTask(run, taskId(task));
  const event = { kind: 'task-released', run, task: taskId(task), by: 'you@there' } as const;
  await world.others.log.append(event, last?.sequence ?? 0);
}

describe('podmesh release', () => {
  it('releases all that is held, so that it is tried again', async () => {
    for (const task of ['a', 'arr:1']) await driver.hold(task);
    const { code, out } = await release(['last']);
    expect([code, out]).toEqual([0, `released: a, arr:1\nsee how it goes: podmesh wait ${run}\n`]);
    expect(await released()).toEqual(
      ['a', 'arr:1'].map((task) => ({ kind: 'task-released', run, task, by: 'me@here' })),
    );
    await world.run(['explain', 'last/a']);
    expect(world.terminal.stdout).toContain('a person released it');
    await driver.start('a', 3);
  });

  it('releases what is named: a task, or what is held of an array', async () => {
    for (const task of ['a', 'arr:0', 'arr:2']) await driver.hold(task);
    const { out } = await release([run, 'arr', 'arr:0', '--json']);
    const alreadyReleased: string[] = [];
    expect(JSON.parse(out)).toEqual({ run, released: ['arr:0', 'arr:2'], alreadyReleased });
    expect((await release([`${run}/a`])).out).toContain('released: a\n');
    expect(await released()).toHaveLength(3);
  });

  it('says which was released by somebody else, be it that it runs again', async () => {
    for (const task of ['a', 'arr:1']) await driver.hold(task);
    const { code, out } = await release(['last'], async () => {
      await releasedByOther('a');
      await driver.start('a', 3);
    });
    expect(code).toBe(0);
    expect(out).toContain('released: arr:1\nsomebody else had just released: a\n');
    expect(await released()).toHaveLength(2);
  });

  it('releases what was held again meanwhile', async () => {
    await driver.hold('a');
    const { code, out } = await release(['last'], async () => {
      await releasedByOther('a');
      await driver.hold('a', 3);
    });
    expect([code, out]).toEqual([0, expect.stringContaining('released: a\n')]);
    expect(await released()).toMatchObject([{ by: 'you@there' }, { by: 'me@here' }]);
  });
});

describe('podmesh release refuses', () => {
  it('a task that is not held, saying what it is, before it releases another', async () => {
    await driver.hold('a');
    await driver.start('arr:0');
    const { code, err } = await release(['last', 'a', 'arr:0']);
    expect(code).toBe(1);
    expect(err).toContain('arr:0 is running, not held');
    expect(err).toContain(`podmesh explain ${run}/arr:0`);
    expect((await release(['last', 'arr'])).err).toContain('none of the 3 tasks of arr is held');
    expect(await released()).toEqual([]);
  });

  it('names that mean nothing', async () => {
    expect(await release(['last', 'nobody'])).toMatchObject({ code: 2 });
    expect(await release(['last', 'a/b'])).toMatchObject({ code: 2 });
    expect(await release(['zzzzzzzzzzzz'])).toMatchObject({ code: 2 });
  });

  it('a run in which nothing is held, was cancelled or has ended', async () => {
    expect(await release(['last'])).toMatchObject({ code: 1 });
    expect(world.terminal.stderr).toContain(`no task of run ${run} is held`);
    await world.run(['cancel', 'last']);
    expect((await release(['last'])).err).toContain('was cancelled: nothing of it is held');
    await driver.end('cancelled');
    expect((await release(['last'])).err).toContain('has already ended: cancelled');
  });

  it('what was cancelled at the same moment', async () => {
    await driver.hold('a');
    const { code, err } = await release(['last', '--json'], async () => {
      await world.run(['cancel', 'last']);
    });
    expect(code).toBe(1);
    expect(JSON.parse(err).error).toMatchObject({
      kind: 'not-available',
      message: `run ${run} was cancelled meanwhile: it is too late to release a`,
    });
  });
});
