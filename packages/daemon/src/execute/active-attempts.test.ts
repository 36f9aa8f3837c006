import { claimId, type LeaseKeeper, type Offer } from '@podmesh/core';
import { freshLane, freshRun, sampleArtifact, sampleOffer } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { ActiveAttempts } from './active-attempts.ts';
import { orderOf } from './stop-order.ts';

const leases: LeaseKeeper = { keep: () => ({ release: () => undefined }) };
const [wrong, right] = ['wrong', 'right'].map((text) => sampleArtifact(Buffer.from(text)).ref);

function begin(attempts: ActiveAttempts, name: string, changes: Partial<Offer>) {
  const offer = { ...sampleOffer(freshRun(), freshLane()), ...changes };
  let stopped: AbortSignal | undefined;
  const ticket = { lane: offer.lane, id: name } as never;
  const ended = new Promise<void>((resolve) => {
    attempts
      .keep({ claim: claimId(name), offer, ticket }, (stop) => {
        stopped = stop;
        return new Promise((end) => stop.addEventListener('abort', () => end()));
      })
      .then(resolve, resolve);
  });
  return { offer, ended, order: () => (stopped?.aborted ? orderOf(stopped) : undefined) };
}

it('ends those that read what is wrong, as input or as image, and no others', async () => {
  if (wrong === undefined || right === undefined) throw new Error('there are two');
  const attempts = new ActiveAttempts(leases);
  const reader = begin(attempts, 'reader', { inputs: { a: right, b: wrong } });
  const image = { kind: 'archive', archive: wrong.digest } as const;
  const runner = begin(attempts, 'runner', { inputs: {}, image });
  const other = begin(attempts, 'other', { inputs: { a: right } });
  const ended = attempts.endReadersOf(new Set([wrong.digest]));
  expect(ended).toEqual([reader.offer, runner.offer]);
  await Promise.all([reader.ended, runner.ended]);
  for (const { order } of [reader, runner])
    expect(order()).toMatchObject({ kind: 'input-missing', missing: [wrong.digest] });
  expect(other.order()).toBeUndefined();
  expect(attempts.claims()).toEqual([claimId('other')]);
  attempts.drain();
  await other.ended;
});
