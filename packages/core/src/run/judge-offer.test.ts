import { describe, expect, it } from 'vitest';
import type { Logged } from '../ports.ts';
import { claimId, peerId, sessionId, taskId } from '../words/ids.ts';
import { buildOffer } from './build-offer.ts';
import { judgeOffer } from './judge-offer.ts';
import type { AttemptStarted, TaskEvent } from './run-event.ts';
import { digestOf, fakeSha256, RUN, RunFixture } from './run-fixture.test-kit.ts';

const OFFER_SEQUENCE = 40;
const offer = buildOffer(new RunFixture([{ id: 'a' }]).state, 0, RUN, {
  image: () => undefined,
  artifact: () => undefined,
  gathered: () => ({ digest: digestOf(''), kind: 'dir', bytes: 0 }),
  item: () => ({ artifact: { digest: digestOf(''), kind: 'file', bytes: 0 } }),
  largestMemoryBytes: () => 0,
  sha256: fakeSha256,
});
const started: AttemptStarted = {
  kind: 'attempt-started',
  run: RUN,
  task: taskId('a'),
  attempt: 1,
  peer: peerId('other'),
  session: sessionId('other-1'),
  claim: claimId('claim-1'),
  offerSequence: OFFER_SEQUENCE,
};
const at = (event: TaskEvent): Logged<TaskEvent> => ({ event, sequence: 7, at: '' });
const nobody = { holds: () => false, isHeld: () => false };

describe('judgeOffer', () => {
  it('starts when nothing happened since the offer', () => {
    expect(judgeOffer(offer, OFFER_SEQUENCE, undefined, nobody)).toEqual({ kind: 'start' });
    const later = { ...offer, sequence: 7 };
    expect(judgeOffer(later, 41, at(started), nobody)).toEqual({ kind: 'start' });
  });

  it('forgets what is settled, even in a log that was purged', () => {
    const lost: TaskEvent = { ...started, kind: 'attempt-lost', reason: '' };
    expect(judgeOffer(offer, OFFER_SEQUENCE, at(lost), nobody)).toMatchObject({ why: 'settled' });
    const retry = { ...offer, attempt: 2, sequence: 5 };
    expect(judgeOffer(retry, 50, undefined, nobody)).toMatchObject({ why: 'settled' });
  });

  it('forgets a copy of an offer that is at work under another message', () => {
    expect(judgeOffer(offer, 99, at(started), nobody)).toEqual({
      kind: 'forget',
      why: 'duplicate',
    });
  });

  it('leaves its own work alone', () => {
    const self = { ...nobody, holds: () => true };
    expect(judgeOffer(offer, OFFER_SEQUENCE, at(started), self)).toEqual({ kind: 'ours' });
  });

  it('waits while the holder has it in hand, and declares it lost when nobody has', () => {
    const isHeld = (_: unknown, claim: string) => claim === 'claim-1';
    const view = { ...nobody, isHeld };
    expect(judgeOffer(offer, OFFER_SEQUENCE, at(started), view)).toEqual({ kind: 'wait' });
    expect(judgeOffer(offer, OFFER_SEQUENCE, at(started), nobody)).toEqual({
      kind: 'declare-lost',
      lost: started,
      sequence: 7,
    });
  });
});
