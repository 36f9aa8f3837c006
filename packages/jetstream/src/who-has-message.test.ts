import { peerId, WHO_HAS_ARTIFACTS_MAX } from '@podmesh/core';
import { expect, test } from 'vitest';
import { digest } from './samples.test-kit.ts';
import { askerOfInbox, inboxPartSubject, inboxSubject } from './subjects.ts';
import { decodeAnswer, decodeQuestion, encodeAnswer, encodeQuestion } from './who-has-message.ts';

const asked = [digest(1), digest(2), digest(3)];
const peer = peerId('peer-1');

test.each([true, false])('a question is one byte and 32 for each artifact', (rollCall) => {
  const bytes = encodeQuestion({ artifacts: asked, rollCall });
  expect(bytes).toHaveLength(1 + 3 * 32);
  expect(decodeQuestion(bytes)).toEqual({ artifacts: asked, rollCall });
});

test('what is no question is none', () => {
  const many = Array.from({ length: WHO_HAS_ARTIFACTS_MAX + 1 }, (_, at) => digest(at));
  const good = encodeQuestion({ artifacts: asked, rollCall: true });
  const garbage = [
    new Uint8Array(0),
    Buffer.of(0),
    good.subarray(0, 96),
    Buffer.concat([good, Buffer.of(1)]),
    Buffer.concat([Buffer.of(2), good.subarray(1)]),
    encodeQuestion({ artifacts: many, rollCall: false }),
  ];
  for (const bytes of garbage) expect(decodeQuestion(bytes)).toBeUndefined();
  expect(
    decodeQuestion(encodeQuestion({ artifacts: many.slice(1), rollCall: false })),
  ).toBeDefined();
});

test('an answer names artifacts by their place, and nothing that was not asked for', () => {
  const held = [
    { artifact: digest(3), bytes: 64 * 1024 ** 3, whole: true },
    { artifact: digest(9), bytes: 1, whole: true },
    { artifact: digest(1), bytes: 0, whole: false },
  ];
  const answer = decodeAnswer(encodeAnswer(peer, held, asked), asked);
  const [third, , first] = held;
  expect(answer).toEqual({
    peer,
    holdings: [
      { ...third, peer },
      { ...first, peer },
    ],
  });
});

test('the longest answer is one small message', () => {
  const artifacts = Array.from({ length: WHO_HAS_ARTIFACTS_MAX }, (_, at) => digest(at));
  const held = artifacts.map((artifact) => ({ artifact, bytes: 64 * 1024 ** 3, whole: false }));
  const bytes = encodeAnswer(peerId('p'.repeat(64)), held, artifacts);
  expect(bytes.length).toBeLessThan(64 * 1024);
  expect(decodeAnswer(bytes, artifacts)?.holdings).toHaveLength(artifacts.length);
});

test('what is no answer is none', () => {
  const garbage = [
    '',
    'null',
    '{',
    '[]',
    '{"peer":"a.b","has":[]}',
    '{"peer":"a"}',
    '{"peer":"a","has":[[3,1,true]]}',
    '{"peer":"a","has":[[-1,1,true]]}',
    '{"peer":"a","has":[["0",1,true]]}',
    '{"peer":"a","has":[[0,-1,true]]}',
    '{"peer":"a","has":[[0,1.5,true]]}',
    '{"peer":"a","has":[[0,1e15,true]]}',
    '{"peer":"a","has":[[0,1,1]]}',
    '{"peer":"a","has":[0]}',
    '{"peer":"a","has":[[0,1,true],[0,1,true],[0,1,true],[0,1,true]]}',
    `{"peer":"a","has":[]${' '.repeat(64 * 1024)}}`,
  ];
  for (const text of garbage) expect(decodeAnswer(Buffer.from(text), asked), text).toBeUndefined();
});

test('only an inbox is answered: anything else might be stored in a stream', () => {
  const inbox = inboxSubject('lab-1', 'AbC123', 7);
  expect(askerOfInbox(inbox)).toBe('AbC123');
  expect(askerOfInbox(inboxPartSubject(inbox, 3))).toBe('AbC123');
  for (const subject of [
    undefined,
    '',
    'pm.drive.x',
    'pm.answer.a',
    'pm.answer.a.b',
    '_INBOX.a.b.1',
    'pm.answer.>',
    'pm.answer.a.b.*',
    '$KV.x.y',
  ])
    expect(askerOfInbox(subject)).toBeUndefined();
});
