import { jobId, type RunEvent, runId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import {
  failed,
  graphOf,
  peerEntry,
  RESULT,
  RUN,
  started,
  stateOf,
  succeeded,
  takesDownTwo,
} from '../sample-run.test-kit.ts';
import { explainTask, type TaskExplanation } from './explain-task.ts';
import { taskExplanationText } from './explanation-text.ts';

const GIB = 1024 ** 3;
const graph = graphOf([
  {
    id: 'a',
    needs: { memory: '2GiB', labels: ['disk=ssd'] },
    outputs: { out: 'fd:1' },
    retries: 1,
  },
  { id: 'arr', count: 3, after: ['a'] },
  { id: 'end', after: ['arr'], inputs: { x: 'jobs:a/out' } },
]);

function explained(
  task: number,
  events: readonly RunEvent[],
  peers: readonly ReturnType<typeof peerEntry>[] = [],
): TaskExplanation {
  return explainTask({ run: RUN, state: stateOf(graph, events), task, peers });
}

describe('a ready task', () => {
  const ssd = { labels: ['disk=ssd'] };

  it('without peers', () => {
    const { summary, advice } = explained(0, []);
    expect(summary).toBe('it is ready and waits for a peer: no peer is there');
    expect(advice[0]).toContain('podmesh up');
  });

  it('with a free one', () => {
    const { summary, peers } = explained(0, [], [peerEntry('fir'), peerEntry('oak', ssd)]);
    expect(summary).toContain('oak could take it now');
    expect(peers?.map(({ peer, verdict }) => `${peer} ${verdict}`)).toEqual([
      'oak free',
      'fir unsuitable',
    ]);
  });

  it('with a busy one', () => {
    const free = { cpus: 4, memoryBytes: GIB, diskBytes: GIB, gpus: 0 };
    const { summary, advice } = explained(0, [], [peerEntry('oak', { ...ssd, free })]);
    expect(summary).toContain('oak could take it but is busy');
    expect(advice[0]).toContain('Wait');
  });

  it('with a paused one', () => {
    const paused = 'Podman does not answer';
    const { summary, advice } = explained(0, [], [peerEntry('oak', { ...ssd, paused })]);
    expect(summary).toContain('oak could take it but is paused (Podman does not answer)');
    expect(advice[0]).toContain('podmesh doctor');
  });

  describe('of a job that a peer leaves to others', () => {
    const reason = 'start-failed: no such device; it is tried here once in 60 s';
    const rations = [{ run: RUN, job: jobId('a'), reason }];
    const leaving = peerEntry('elm', { ...ssd, rations });
    const verdicts = ({ peers }: TaskExplanation) =>
      peers?.map(({ peer, verdict }) => `${peer} ${verdict}`);

    it('says so where nobody else could take it, and why', () => {
      const explanation = explained(0, [], [leaving]);
      expect(explanation.summary).toBe(
        `it is ready and waits for a peer: elm leaves it to others, because its job fails there (${reason})`,
      );
      expect(explanation.advice[0]).toContain('On elm: podmesh doctor');
      expect(taskExplanationText(explanation).join('\n')).toMatch(/elm +leaving +start-failed/);
      const two = explained(0, [], [leaving, peerEntry('oak', { ...ssd, rations })]);
      expect(two.summary).toContain(
        `elm, oak leave it to others, because its job fails on each; on elm (${reason})`,
      );
    });

    it('names who could take it first', () => {
      const oak = explained(0, [], [leaving, peerEntry('oak', ssd)]);
      expect(oak.summary).toContain('oak could take it now');
      expect(verdicts(oak)).toEqual(['oak free', 'elm leaving']);
      const free = { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
      const busy = explained(0, [], [leaving, peerEntry('oak', { ...ssd, free })]);
      expect(busy.summary).toMatch(
        /oak could take it but is busy; elm leaves it to others, because/,
      );
      expect(verdicts(busy)).toEqual(['oak busy', 'elm leaving']);
    });

    it('is not confused by other jobs and runs, by a pause, or by what it never could', () => {
      const others = [
        { run: RUN, job: jobId('arr'), reason },
        { run: runId('zzzzzzzzzzzz'), job: jobId('a'), reason },
      ];
      const oak = peerEntry('oak', { ...ssd, rations: others });
      const paused = peerEntry('fir', { ...ssd, rations, paused: 'no disk' });
      const never = peerEntry('ash', { rations });
      expect(verdicts(explained(0, [], [never, paused, oak]))).toEqual([
        'oak free',
        'fir paused',
        'ash unsuitable',
      ]);
    });
  });

  it('that no peer could ever run names the closest and what it lacks', () => {
    const capacity = { cpus: 4, memoryBytes: GIB, diskBytes: GIB, gpus: 0 };
    const small = peerEntry('small', { labels: ['disk=ssd'], capacity, free: capacity });
    const { summary, advice } = explained(0, [], [peerEntry('unlabelled'), small]);
    expect(summary).toBe(
      'it is ready and waits for a peer: no peer could ever run it; ' +
        'the closest is small: needs 2 GiB memory, peer offers 1 GiB',
    );
    expect(advice.join(' ')).toMatch(/Ask for less under "needs".*--memory/);
  });

  it('after a failed attempt says that there will be another', () => {
    const { summary, attempts } = explained(0, [started('a'), failed('a')]);
    expect(summary).toContain('attempt 1 failed and there will be another');
    expect(attempts).toMatchObject([{ attempt: 1, outcome: 'exit' }]);
  });

  it('after it ran out of memory says what it asks for now', () => {
    const events = [started('a'), failed('a', { kind: 'oom-task' })];
    const { summary, requirements } = explained(0, events, [peerEntry('oak', ssd)]);
    expect(summary).toContain(
      ', with 4 GiB memory instead of 2 GiB, which was not enough: oak could',
    );
    expect(requirements?.memoryBytes).toBe(4 * GIB);
  });

  it('is not said to ask for more memory than any peer has', () => {
    const capacity = { cpus: 4, memoryBytes: 3 * GIB - 1, diskBytes: GIB, gpus: 0 };
    const events = [started('a'), failed('a', { kind: 'oom-task' })];
    const one = explained(0, events, [peerEntry('oak', { ...ssd, capacity, free: capacity })]);
    expect([one.requirements?.memoryBytes, one.peers?.[0]?.verdict]).toEqual([2.75 * GIB, 'free']);
    const least = { ...capacity, memoryBytes: 2 * GIB };
    const same = explained(0, events, [peerEntry('oak', { ...ssd, capacity: least })]);
    expect(same.summary).toContain('with 2 GiB memory as before, because no peer has more');
  });

  it('that a person released says so', () => {
    const release = { kind: 'task-released', run: RUN, task: started('a').task, by: 'me' } as const;
    expect(explained(0, [...takesDownTwo('a'), release]).summary).toContain(
      'attempt 2 failed and a person released it',
    );
  });

  it('that wants a runtime is told which peers have it', () => {
    const wanting = stateOf(graphOf([{ id: 'x', runtime: 'crun' }]), []);
    const peers = [peerEntry('fir'), peerEntry('oak', { runtimes: ['podman', 'crun'] })];
    const explanation = explainTask({ run: RUN, state: wanting, task: 0, peers });
    expect(explanation.peers?.map(({ peer, verdict }) => `${peer} ${verdict}`)).toEqual([
      'oak free',
      'fir unsuitable',
    ]);
    expect(taskExplanationText(explanation).join('\n')).toContain('256 MiB memory, runtime crun');
  });
});

describe('other tasks', () => {
  it('waiting: for whom, and how far that is', () => {
    const events = [
      started('a'),
      succeeded('a', { outputs: { out: { digest: RESULT.log.digest, kind: 'file', bytes: 4 } } }),
      started('arr:1'),
      succeeded('arr:1'),
    ];
    const { summary, waitingFor, advice } = explained(4, events);
    expect(summary).toBe('it waits for arr, and in the end for arr:0, which is ready');
    expect(waitingFor).toEqual([{ task: 'arr', progress: '1 of 3 succeeded' }]);
    expect(advice).toEqual([`Why that takes long: podmesh explain ${RUN}/arr:0`]);
    expect(
      explained(4, [])
        .waitingFor?.map(({ task }) => task)
        .sort(),
    ).toEqual(['a', 'arr']);
  });

  it('waiting at the end of a chain: for whom in the end', () => {
    const chain = graphOf([{ id: 'x' }, { id: 'y', after: ['x'] }, { id: 'z', after: ['y'] }]);
    const state = stateOf(chain, [started('x')]);
    const { summary, advice } = explainTask({ run: RUN, state, task: 2, peers: [] });
    expect(summary).toBe('it waits for y, and in the end for x, which is running');
    expect(advice).toEqual([`Why that takes long: podmesh explain ${RUN}/x`]);
  });

  it('running: where and since when', () => {
    expect(explained(0, [started('a')])).toMatchObject({
      state: 'running',
      summary: 'attempt 1 runs on oak since 2026-01-01T00:00:00Z',
    });
  });

  it('failed: kind, meaning, attempts, and what to do', () => {
    const usage = { wallMs: 1, maxRssBytes: 7.5 * GIB };
    const killed = { kind: 'oom-task', message: 'killed', stderrTail: 'oh\n', usage } as const;
    const events = [1, 2, 3, 4].flatMap((attempt) => [
      started('a', attempt),
      failed('a', killed, attempt),
    ]);
    const explanation = explained(0, events);
    expect(explanation.failure).toEqual({
      kind: 'oom-task',
      meaning: 'the task used more memory than it asked for',
      message: 'killed',
      stderrTail: 'oh\n',
    });
    expect(explanation.summary).toContain('4 made, tried 3 times with more memory, up to 16 GiB');
    expect(explanation.advice).toContain(
      'Give it more "memory" under "needs": it used 7.5 GiB at its peak and it had asked for 16 GiB.',
    );
    const text = taskExplanationText(explanation).join('\n');
    expect(text).toContain('a is failed');
    expect(text).toContain('  oh');
    expect(text).toMatch(/ {2}4 {2}oak/);
  });

  it('held: each loss, and what a person can do', () => {
    const explanation = explained(0, takesDownTwo('a'));
    expect(explanation).toMatchObject({
      state: 'held',
      summary:
        'it is held for a person: it lost oak at 2026-01-01T00:00:01Z (attempt 1), ' +
        'fir at 2026-01-01T00:00:03Z (attempt 2); ' +
        'it may take down the next peer as well, and is not tried again by itself',
      failure: { kind: 'peer-lost', meaning: 'the peer that ran it vanished' },
      advice: [
        `What it wrote: podmesh logs ${RUN}/a`,
        `If it is harmless, let it be tried again: podmesh release ${RUN} a`,
        `If it is not, end the run: podmesh cancel ${RUN}`,
      ],
    });
    expect(explained(4, takesDownTwo('a')).advice).toEqual([
      `Why that is held for a person: podmesh explain ${RUN}/a`,
    ]);
  });

  it('skipped: because of whom', () => {
    const events = [started('a'), failed('a'), started('a', 2), failed('a', {}, 2)];
    expect(explained(4, events)).toMatchObject({ state: 'skipped', because: 'a' });
  });

  it('succeeded and cancelled', () => {
    expect(explained(0, [started('a'), succeeded('a')]).summary).toContain('attempt 1');
    const cancel = { kind: 'run-cancel-requested', run: RUN, by: 'me', reason: '' } as const;
    expect(explained(0, [cancel]).summary).toContain('the run was cancelled');
  });
});

describe('of outputs that were lost', () => {
  const { run, task } = started('a');
  const lost = {
    ...({ kind: 'outputs-lost', run, task, rerun: 1, behind: 0 } as const),
    artifacts: [RESULT.log.digest],
  };

  it('the task is done again, and who waits for it says so', () => {
    const events = [started('a'), succeeded('a'), lost];
    expect(explained(0, events).summary).toContain('its outputs were lost, so it is done again');
    expect(explained(1, events).summary).toContain('it waits for a');
  });

  it('who was at it goes on, and the task tells what happened', () => {
    const missed = failed('arr:0', { kind: 'input-missing' });
    const again = started('a', 2);
    const made = { ...succeeded('a'), attempt: 2, claim: again.claim };
    const events = [started('a'), succeeded('a'), started('arr:0'), missed, lost, again, made];
    expect(explained(1, events).summary).toContain('what it missed was made again');
    expect(explained(0, events).summary).toContain('its outputs were lost 1 time');
  });

  it('the task tells where they are kept', () => {
    const keepers = [started('a').peer];
    const kept = { kind: 'outputs-kept', run, task, keepers, wanted: 2 } as const;
    const short = 'only one peer is in the mesh';
    const { summary } = explained(0, [started('a'), succeeded('a'), { ...kept, short }]);
    expect(summary).toContain(
      'its outputs are kept on oak (no more: only one peer is in the mesh)',
    );
  });
});
