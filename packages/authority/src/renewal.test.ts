import { expect, it } from 'vitest';
import { RENEWAL_ENTRY, renewalIn } from './renewal.ts';

const boxOf = (text: string, entry = RENEWAL_ENTRY) => new Map([[entry, Buffer.from(text)]]);

it('is what stands in the box', () => {
  const renewal = { ca: 'the CA', certificate: 'the next one' };
  expect(renewalIn(boxOf(JSON.stringify(renewal)))).toEqual(renewal);
});

it('is refused where the box did not open, or is one of something else', () => {
  for (const box of [undefined, new Map(), boxOf('{}', 'token')])
    expect(() => renewalIn(box)).toThrow('the answer is not for this member');
});

it.each(['', '{"ca":"a secret', 'null', '"a secret"'])('is not %j, which nobody quotes', (text) => {
  const refusal = new Error('the answer holds no renewal');
  expect(() => renewalIn(boxOf(text))).toThrow(refusal);
});
