import { describe, expect, it } from 'vitest';
import { jobId, runId } from '../words/ids.ts';
import {
  RATION_REASON_CHARACTERS_MAX,
  RATIONS_TOLD_MAX,
  WANTED_TOLD_MAX,
} from '../words/limits.ts';
import { toRequirements } from './lane.ts';
import { type Ration, toldRations, toldWants } from './peer-entry.ts';

const ration = (job: string, reason = 'no overlay'): Ration => ({
  run: runId('abcdefghijkl'),
  job: jobId(job),
  reason,
});

describe('what a heartbeat tells of rationed jobs', () => {
  it('is nothing at all when there are none, as of a peer that does not know the word', () => {
    expect(toldRations([])).toEqual({});
  });

  it('is each with its reason', () => {
    expect(toldRations([ration('a'), ration('b')])).toEqual({
      rations: [ration('a'), ration('b')],
    });
  });

  it('is bounded: the newest, and no long stories', () => {
    const many = Array.from({ length: RATIONS_TOLD_MAX + 3 }, (_, i) => ration(`job-${i}`));
    expect(toldRations(many).rations).toEqual(many.slice(3));
    const [long] = toldRations([ration('a', '😀'.repeat(5_000))]).rations ?? [];
    expect([...(long?.reason ?? '')]).toHaveLength(RATION_REASON_CHARACTERS_MAX + 1);
    expect(long?.reason.endsWith('😀…')).toBe(true);
  });
});

it('a heartbeat names each kind of task that waits once, and no more than a few', () => {
  expect(toldWants([])).toEqual({});
  const kinds = Array.from({ length: WANTED_TOLD_MAX + 2 }, (_, n) => toRequirements({ gpus: n }));
  const again = kinds.map((needs) => ({ ...needs }));
  expect(toldWants([...kinds, ...again])).toEqual({ wanted: kinds.slice(0, WANTED_TOLD_MAX) });
});
