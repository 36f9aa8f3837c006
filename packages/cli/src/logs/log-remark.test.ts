import { taskId } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { logRemark } from './log-remark.ts';

it('says why a log is on one disk, and passes nothing on to the terminal that other peers made up', () => {
  const { digest } = sampleArtifact(Buffer.from('a log')).ref;
  const log = { digest, bytes: 5, truncated: false, short: 'bob: \u001b]0;mine\u0007 is full' };
  const place = { kind: 'stored', attempt: 1, log } as const;
  expect(logRemark({ task: taskId('a'), place }, false)).toBe(
    'the log of a is on one disk only: bob: \ufffd]0;mine\ufffd is full',
  );
});
