import { pullLine } from '@podmesh/core';
import type { LoggedRun } from '@podmesh/sdk';
import { describe, expect, it } from 'vitest';
import { FakeTerminal, FakeWorld } from '../fake-world.test-kit.ts';
import {
  digestOf,
  failed,
  graphOf,
  published,
  RESULT,
  RUN,
  refOf,
  started,
  stateOf,
  succeeded,
} from '../sample-run.test-kit.ts';
import { followLogs } from './follow-logs.ts';
import { LinePrinter } from './log-printer.ts';

const graph = graphOf([
  { id: 'a', retries: 2 },
  { id: 'b', after: ['a'] },
]);
const log = { digest: digestOf('first'), bytes: 5, truncated: false };

describe('LinePrinter', () => {
  it('marks whole lines, however the bytes come', async () => {
    const terminal = new FakeTerminal();
    const printer = new LinePrinter(terminal, false);
    const [a, b] = [started('a').task, started('b').task];
    const umlaut = Buffer.from('ü\n');
    await printer.write(a, 1, Buffer.from('one\ntw'));
    await printer.write(b, 1, umlaut.subarray(0, 1));
    await printer.write(a, 1, Buffer.from('o\n\nend'));
    await printer.write(b, 1, umlaut.subarray(1));
    await printer.finish();
    expect(terminal.stdout).toBe('a | one\na | two\na | \nb | ü\na | end\n');
  });

  it('prints JSON lines', async () => {
    const terminal = new FakeTerminal();
    await new LinePrinter(terminal, true).write(started('a').task, 2, Buffer.from('x\n'));
    expect(terminal.stdout).toBe('{"task":"a","attempt":2,"text":"x"}\n');
  });

  it('marks what belongs to a log with a hole as JSON, even where nothing of it is left', async () => {
    const a = started('a').task;
    const printed = async (json: boolean) => {
      const terminal = new FakeTerminal();
      const printer = new LinePrinter(terminal, json);
      for (const attempt of [1, 2]) printer.noteHole(a, attempt);
      await printer.write(a, 1, Buffer.from('x\ny'));
      await printer.write(a, 3, Buffer.from('z\n'));
      await printer.finish();
      return terminal.stdout.split('\n');
    };
    expect(await printed(true)).toEqual([
      '{"task":"a","attempt":1,"text":"x","truncated":true}',
      '{"task":"a","attempt":3,"text":"z"}',
      '{"task":"a","attempt":1,"text":"y","truncated":true}',
      '{"task":"a","attempt":2,"text":"","truncated":true}',
      '',
    ]);
    expect(await printed(false)).toEqual(['a | x', 'a | z', 'a | y', '']);
  });
});

describe('followLogs', () => {
  /** Follows task `a`, whose first attempt had failed before, through its second one. */
  async function followed(written: string, bytes: number, pulling?: string) {
    const world = new FakeWorld();
    const { others, terminal } = world;
    const before = [published(graph), started('a'), failed('a', { log })];
    const sequences = [];
    for (const [position, event] of before.entries()) {
      const appended = await others.log.append(event, position < 2 ? 0 : (sequences.at(-1) ?? 0));
      if (!appended.ok) throw new Error('stale');
      sequences.push(appended.value);
    }
    const state = stateOf(graph, before);
    const loaded: LoggedRun = {
      kind: 'logged',
      run: RUN,
      published: published(graph),
      publishedAt: '',
      endedAt: undefined,
      state,
    };
    const chunk = (attempt: number, text: string) => ({
      run: RUN,
      task: started('a').task,
      attempt,
      bytes: Buffer.from(text),
    });
    others.liveLog.write(chunk(1, 'of the first attempt\n'));
    const remarks: string[] = [];
    const following = followLogs(world.client(), {
      loaded,
      tasks: [0],
      printer: new LinePrinter(terminal, false),
      remark: (text) => remarks.push(text),
    });
    const second = await others.log.append(started('a', 2), sequences.at(-1) ?? 0);
    if (!second.ok) throw new Error('stale');
    if (pulling !== undefined) others.liveLog.write(chunk(2, pullLine(pulling)));
    others.liveLog.write(chunk(2, written));
    const result = { ...RESULT, log: { ...refOf(written), bytes, truncated: false } };
    const end = { ...succeeded('a'), attempt: 2, claim: started('a', 2).claim, result };
    await others.log.append(end, second.value);
    await following;
    return { printed: terminal.stdout, remarks };
  }

  it('prints what comes live until the task is done, and nothing twice', async () => {
    expect(await followed('hello\n', 6)).toEqual({ printed: 'a | hello\n', remarks: [] });
  });

  it('tells beside the log what the peer says of its pull, and counts only what the task wrote', async () => {
    const { printed, remarks } = await followed('hello\n', 6, 'pulling localhost/a:1: 1 of 2 MiB');
    expect(printed).toBe('a | hello\n');
    expect(remarks).toEqual(['podmesh: pulling localhost/a:1: 1 of 2 MiB']);
  });

  it('says so when it has not seen everything', async () => {
    const { remarks } = await followed('hello\n', 600);
    expect(remarks).toEqual([
      `not all of a was seen live; what is stored of it: podmesh logs ${RUN}/a`,
    ]);
  });
});
