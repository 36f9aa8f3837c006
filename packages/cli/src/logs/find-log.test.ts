import { describe, expect, it } from 'vitest';
import {
  digestOf,
  failed,
  graphOf,
  RESULT,
  started,
  stateOf,
  succeeded,
  takesDownTwo,
} from '../sample-run.test-kit.ts';
import { findLog } from './find-log.ts';

const graph = graphOf([
  { id: 'a', retries: 2 },
  { id: 'b', after: ['a'] },
]);
const log = { digest: digestOf('first'), bytes: 5, truncated: false };
const stateAfter = (...events: Parameters<typeof stateOf>[1]) =>
  stateOf(graph, events).tasks[0] ?? { kind: 'waiting' as const };

describe('findLog', () => {
  it('finds the newest, and that of an earlier attempt', () => {
    const again = stateAfter(started('a'), failed('a', { log }), started('a', 2));
    expect(findLog(again)).toEqual({ kind: 'live', attempt: 2 });
    expect(findLog(again, 1)).toEqual({ kind: 'stored', attempt: 1, log });
    expect(findLog(again, 3)).toMatchObject({ kind: 'none', why: 'it has no attempt 3' });
    const done = stateAfter(started('a'), succeeded('a'));
    expect(findLog(done)).toEqual({ kind: 'stored', attempt: 1, log: RESULT.log });
    expect(findLog(done, 1)).toEqual(findLog(done));
  });

  it('says why there is none', () => {
    expect(findLog({ kind: 'waiting' })).toMatchObject({ why: expect.stringContaining('waits') });
    expect(findLog(stateAfter())).toMatchObject({ why: expect.stringContaining('never started') });
    const unstarted = failed('a', { kind: 'start-failed' });
    expect(findLog(stateAfter(started('a'), unstarted))).toEqual({
      kind: 'none',
      why: 'attempt 1 left no log (start-failed)',
    });
  });

  it('sends for what a vanished peer had written to what came live of it', () => {
    const held = stateAfter(...takesDownTwo('a'));
    const why = 'attempt 2 left no log (peer-lost)';
    expect([held.kind, findLog(held)]).toEqual(['held', { kind: 'live', attempt: 2, why }]);
    expect(findLog(held, 1)).toMatchObject({ kind: 'live', attempt: 1 });
  });
});
