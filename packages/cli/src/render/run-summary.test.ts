import { buildRecord, jobId, type RunEvent, taskId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import {
  failed,
  graphOf,
  peerEntry,
  published,
  RUN,
  refOf,
  started,
  stateOf,
  succeeded,
  takesDownTwo,
} from '../sample-run.test-kit.ts';
import { bytesText, durationText } from './amounts.ts';
import { heldSummary } from './held-summary.ts';
import { peerTable } from './peer-table.ts';
import { recordTable } from './record-table.ts';
import { runSummary } from './run-summary.ts';
import { runTable } from './run-table.ts';
import { sanitise } from './sanitise.ts';

const graph = graphOf(
  [
    { id: 'a', outputs: { out: 'fd:1' } },
    { id: 'arr', count: 2, outputs: { part: 'fd:1' } },
    { id: 'end', after: ['a', 'arr'] },
  ],
  'a name',
);
const times = { published: '2026-01-01T00:00:00Z', ended: '2026-01-01T00:00:03.500Z' };
const record = (events: readonly RunEvent[], state: 'succeeded' | 'failed') =>
  buildRecord(published(graph), stateOf(graph, events), { ...times, state });

const allGood = record(
  [
    started('a'),
    succeeded('a', { outputs: { out: refOf('a') } }),
    ...['arr:0', 'arr:1'].flatMap((task) => [
      started(task),
      succeeded(task, { outputs: { part: refOf(task) } }),
    ]),
    started('end'),
    succeeded('end'),
  ],
  'succeeded',
);
const oneBad = record(
  [
    started('a'),
    failed('a', { stderrTail: `${Array.from({ length: 30 }, (_, line) => line).join('\n')}\n` }),
    started('arr:0'),
    failed('arr:0', { stderrTail: '' }),
  ],
  'failed',
);

describe('runSummary', () => {
  it('of a success names the outputs and how to get them', () => {
    expect(runSummary(allGood)).toEqual([
      `run ${RUN} succeeded after 3.5 s: 4 tasks, 4 succeeded`,
      'outputs:',
      `  a/out     ${refOf('a').digest}`,
      '  arr/part  2 elements',
      `to fetch one: podmesh get ${RUN}/a/out`,
    ]);
  });

  it('of a failure tells which task, what kind, the end of its log, and where to see more', () => {
    const lines = runSummary(oneBad, new Map([[taskId('arr:0'), 'from the log\n']]));
    expect(lines[0]).toBe(
      'a failed: exit (the command ended with a failure): the command exited with 3',
    );
    expect(lines.slice(1, 4)).toEqual(['  the end of standard error:', '    10', '    11']);
    expect(lines).toContain(`  see more: podmesh logs ${RUN}/a`);
    expect(lines).toContain('  the end of its log:');
    expect(lines).toContain('    from the log');
    expect(lines.at(-1)).toBe(`run ${RUN} failed after 3.5 s: 4 tasks, 2 failed, 1 skipped`);
  });
});

describe('what is held', () => {
  const whole = buildRecord(published(graph), stateOf(graph, takesDownTwo('a')), times);

  it('is told with each loss and the commands to type', () => {
    expect(heldSummary(whole)).toEqual([
      'a is held: it lost oak at 2026-01-01T00:00:01Z (attempt 1), fir at 2026-01-01T00:00:03Z (attempt 2)',
      `run ${RUN} waits for a person: 4 tasks, 1 held`,
      `  to see why:         podmesh explain ${RUN}/a`,
      `  to let it go on:    podmesh release ${RUN}`,
      `  to end it:          podmesh cancel ${RUN}`,
    ]);
  });

  it('is shown', () => {
    const lines = recordTable(whole, false);
    expect(lines[1]).toContain('running: 4 tasks, 1 held');
    expect(lines.join('\n')).toMatch(/\na +held +2 +fir +peer-lost: peer fir vanished/);
    expect(lines.at(-1)).toBe(
      `1 task held for a person; see why: podmesh explain ${RUN}/a; let go on: podmesh release ${RUN}`,
    );
  });
});

describe('tables', () => {
  it('show a record', () => {
    const lines = recordTable(oneBad, false);
    expect(lines[0]).toBe(`run        ${RUN} (a name)`);
    expect(lines.join('\n')).toMatch(/a +failed +1 +oak +exit: the command exited with 3/);
    expect(lines.join('\n')).toMatch(/end +skipped +because a failed/);
  });

  it('cut long records unless asked for all', () => {
    const long = graphOf([{ id: 'm', count: 250 }]);
    const whole = buildRecord(published(long), stateOf(long, []), times);
    expect(recordTable(whole, false).at(-1)).toBe(`and 50 more tasks: podmesh show ${RUN} --all`);
    expect(recordTable(whole, true).at(-1)).toMatch(/^m:249 +ready/);
  });

  it('list runs', () => {
    const counts = { succeeded: 2, cached: 1, failed: 0, skipped: 0, cancelled: 0, held: 1 };
    const listed = {
      run: RUN,
      name: 'n',
      tasks: 3,
      publisher: 'me@here',
      publishedAt: times.published,
    };
    const lines = runTable(
      [
        { ...listed, state: 'running', counts },
        { ...listed, state: 'cancelling' },
      ],
      new Date('2026-01-01T01:05:00Z'),
    );
    expect(lines[1]).toMatch(/^abcdefghijkl {2}n +running +2\/3 +0 +1 +1 +1 h 5 min +me@here$/);
    expect(lines[2]).toMatch(/cancelling +\?\/3 +\? +\? +\?/);
    expect(runTable([], new Date())).toEqual(['no runs yet; publish one with: podmesh run FILE']);
  });

  it('list peers with what is free, labels and why they pause', () => {
    const lines = peerTable([
      peerEntry('oak', { paused: 'no\ndisk' }),
      peerEntry('fir', {
        labels: ['a=b', 'c=d'],
        limits: { memory: 'watched', cpus: 'none', pids: 'watched', disk: 'watched' },
        runtimes: ['podman', 'crun'],
      }),
    ]);
    expect(lines[1]).toMatch(/^fir +oak +linux\/amd64 +4\/4 /);
    expect(lines[1]).toMatch(/ watched, cpus none +podman,crun +a=b,c=d +claims tasks$/);
    expect(lines[2]).toMatch(/ kernel, disk watched +podman +- +paused: no disk$/);
  });

  it('list peers with the jobs that they leave to others, the newest first, and why', () => {
    const rations = ['a', 'b', 'c', 'd'].map((job) => ({
      run: RUN,
      job: jobId(job),
      reason: `no\n${job}`,
    }));
    const [, fir, oak] = peerTable([
      peerEntry('oak', { paused: 'no disk', rations: rations.slice(0, 1) }),
      peerEntry('fir', { rations }),
    ]);
    expect(fir).toMatch(
      /claims tasks; leaves to others: abcdefghijkl\/d \(no d\), abcdefghijkl\/c \(no c\), abcdefghijkl\/b \(no b\) and 1 more \(podmesh peers --json names them\)$/,
    );
    expect(oak).toMatch(/paused: no disk; leaves to others: abcdefghijkl\/a \(no a\)$/);
  });
});

describe('amounts', () => {
  it.each([
    [0, '0.0 s'],
    [9_940, '9.9 s'],
    [12_400, '12 s'],
    [185_000, '3 min 5 s'],
    [3_600_000, '1 h'],
    [200_000_000, '2 d 7 h'],
  ])('%i ms: %s', (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  it.each([
    [3, '3 B'],
    [2_048, '2 KiB'],
    [1_600 * 1024, '1.5 MiB'],
    [8 * 1024 ** 3, '8 GiB'],
  ])('%i: %s', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });

  it('takes the teeth out of foreign text', () => {
    expect(sanitise('a\u001b[2Jb\tc\nd\r')).toBe('a\ufffd[2Jb\tc\nd\ufffd');
  });
});
