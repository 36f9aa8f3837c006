import { type PeerOrder, peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { decodePeerOrder, decodePeerOrderAnswer, encodePeerOrder } from './peer-order-message.ts';

const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

describe('an order to a peer', () => {
  it.each<PeerOrder>([
    { kind: 'drain', deadlineMs: 0, by: 'ann' },
    { kind: 'undrain', by: 'ann' },
    { kind: 'wake', sleeper: peerId('attic'), by: 'ann' },
  ])('comes as it went: %j', (order) => {
    expect(decodePeerOrder(encodePeerOrder(order))).toEqual(order);
  });

  it.each([
    ['nothing', undefined],
    ['a number', 7],
    ['an unknown kind', { kind: 'format', by: 'ann' }],
    ['nobody who gives it', { kind: 'undrain' }],
    ['no deadline', { kind: 'drain', by: 'ann' }],
    ['a deadline in the past', { kind: 'drain', by: 'ann', deadlineMs: -1 }],
    ['a deadline of a year', { kind: 'drain', by: 'ann', deadlineMs: 4e10 }],
    ['nobody to wake', { kind: 'wake', by: 'ann' }],
    ['a sleeper that is no name', { kind: 'wake', by: 'ann', sleeper: 'a b.*' }],
    ['a sleeper that is no text', { kind: 'wake', by: 'ann', sleeper: ['attic'] }],
  ])('is none: %s', (_, value) => {
    expect(decodePeerOrder(value === undefined ? Buffer.from('{') : bytes(value))).toBeUndefined();
  });

  it('says what fits on one line of a terminal', () => {
    const by = `ann\u001b[2J\n${'x'.repeat(500)}`;
    const order = decodePeerOrder(bytes({ kind: 'undrain', by }));
    expect(order?.by).toHaveLength(100);
    expect(order?.by).toMatch(/^ann \[2J xxx/);
    const refused = decodePeerOrderAnswer(bytes({ kind: 'refused', message: by }));
    expect(refused).toMatchObject({ message: expect.stringMatching(/^ann \[2J x+$/) });
  });

  it.each([{}, { kind: 'silent' }, { kind: 'refused' }, 'done'])('has no answer in %j', (value) => {
    expect(decodePeerOrderAnswer(bytes(value))).toBeUndefined();
  });
});
