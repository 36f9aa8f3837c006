import type { ContainerExit } from '@podmesh/core';
import { ArtifactMissingError, EMPTY_ARTIFACT } from '@podmesh/core';
import { freshLane, freshRun, sampleOffer } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { AttemptFailure, failureOfError } from './attempt-failure.ts';
import { failureOfExit, reportExit, reportUsage } from './outcome.ts';
import { CANCELLED, DRAINED, LEASE_LOST, timedOut } from './stop-order.ts';

const offer = sampleOffer(freshRun(), freshLane());
const clean: ContainerExit = {
  code: 0,
  oomKilled: false,
  startedAt: 'a',
  finishedAt: 'b',
  wallMs: 5,
};

describe('how an attempt ended', () => {
  it('is no failure after a clean exit', () => {
    expect(failureOfExit(offer, clean, undefined)).toBeUndefined();
  });

  it.each([
    [{ code: 3 }, undefined, 'exit', 'the command exited with 3'],
    [{ code: 139, signal: 'SIGSEGV' }, undefined, 'exit', 'the command was ended by SIGSEGV'],
    [{ code: 137, oomKilled: true }, undefined, 'oom-task', 'its 64 MiB of memory'],
    [{ code: 143, signal: 'SIGTERM' }, timedOut(offer), 'timeout', 'its 60 s'],
    [{ code: 137, oomKilled: true }, CANCELLED, 'cancelled', 'the run was cancelled'],
    [{ code: 0 }, LEASE_LOST, 'lease-lost', 'could not extend its claim'],
    [{ code: 1 }, DRAINED, 'drained', 'stopped by its owner'],
  ] as const)('%j after the order %j is %s', (exit, stopped, kind, message) => {
    const failure = failureOfExit(offer, { ...clean, ...exit }, stopped);
    expect(failure?.kind).toBe(kind);
    expect(failure?.message).toContain(message);
  });

  it('is reported by its signal or by its code, and only with what was measured', () => {
    expect(reportExit(clean)).toEqual({ code: 0, startedAt: 'a', finishedAt: 'b' });
    expect(reportExit({ ...clean, code: 137, signal: 'SIGKILL' })).not.toHaveProperty('code');
    expect(reportUsage(clean)).toEqual({ wallMs: 5 });
    expect(reportUsage({ ...clean, cpuMs: 0, maxRssBytes: 9 })).toEqual({
      wallMs: 5,
      cpuMs: 0,
      maxRssBytes: 9,
    });
  });
});

describe('an error as a failure', () => {
  const noSpace = Object.assign(new Error('no space'), { code: 'ENOSPC' });

  it.each([
    [new AttemptFailure('timeout', 'm'), 'timeout'],
    [new ArtifactMissingError(EMPTY_ARTIFACT), 'input-missing'],
    [noSpace, 'disk-host'],
    [new Error('wrapped', { cause: noSpace }), 'disk-host'],
    [new Error('anything'), 'internal'],
    ['not even an error', 'internal'],
  ])('%s', (error, kind) => {
    expect(failureOfError(error).kind).toBe(kind);
  });
});
