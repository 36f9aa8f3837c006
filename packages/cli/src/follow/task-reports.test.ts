import { type LogChunk, reportLine, runId, taskId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { reportText, TaskReports } from './task-reports.ts';

const chunk = (text: string, attempt = 1): LogChunk => ({
  run: runId('abcdefghij12'),
  task: taskId('a'),
  attempt,
  bytes: Buffer.from(text),
});

it('keeps the last word of the newest attempt, and takes no output for one', () => {
  const reports = new TaskReports();
  reports.take(chunk('podmesh: report \n'));
  reports.take(chunk('what it prints\n'));
  expect(reports.of(taskId('a'))).toBeUndefined();
  reports.take(chunk(reportLine({ fraction: 0.25 }), 2));
  reports.take(chunk(reportLine({ fraction: 0.9 }), 1));
  reports.take(chunk(reportLine({ fraction: 0.5, message: 'half', metrics: { loss: 1 } }), 2));
  expect(reports.of(taskId('a'))).toEqual({ fraction: 0.5, message: 'half', metrics: { loss: 1 } });
  expect(reportText({ fraction: 0.999, message: 'nearly' })).toBe('99% nearly');
  expect(reportText({ metrics: { loss: 1 } })).toBe('');
});
