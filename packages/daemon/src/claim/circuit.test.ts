import type { FailureKind } from '@podmesh/core';
import { FAILURE_KINDS } from '@podmesh/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterAttempt,
  afterCanary,
  attemptsAllowed,
  type Circuit,
  canaryRestMs,
  circuitReason,
  FAILURES_IN_A_ROW_MAX,
  UNTESTED,
} from './circuit.ts';

const closed = (failures = 0): Circuit => ({ kind: 'closed', failures });
const open = (trials: number): Circuit => ({ kind: 'open', reason: 'r', trials });
const half = (trials: number): Circuit => ({ kind: 'half-open', trials });
const failed = (kind: FailureKind) => ({ kind, message: 'told' });

describe('the circuit', () => {
  it('opens after three failures in a row by the fault of the machine, and tells the last one', () => {
    const opened = Array.from({ length: FAILURES_IN_A_ROW_MAX }).reduce<Circuit>(
      (circuit) => afterAttempt(circuit, failed('start-failed')),
      closed(),
    );
    expect(opened).toMatchObject({ kind: 'open', trials: 0 });
    expect(circuitReason(opened)).toContain('the last one: start-failed: told');
  });

  it.each(['start-failed', 'oom-host', 'disk-host', 'internal'] as const)('counts %s', (kind) => {
    expect(afterAttempt(closed(1), failed(kind))).toEqual(closed(2));
    expect(afterAttempt(half(2), failed(kind))).toMatchObject({ kind: 'open', trials: 3 });
  });

  it.each(['exit', 'oom-task', 'disk-task', 'timeout', 'output-missing'] as const)(
    'is closed by %s, which says that containers run here',
    (kind) => {
      expect(afterAttempt(closed(2), failed(kind))).toEqual(closed());
      expect(afterAttempt(half(2), failed(kind))).toEqual(closed());
    },
  );

  it('is closed by a success', () => {
    expect(afterAttempt(half(4), 'succeeded')).toEqual(closed());
  });

  it.each([
    'image-unavailable',
    'image-platform',
    'input-missing',
    'peer-lost',
    'lease-lost',
    'drained',
    'cancelled',
    'dependency-failed',
  ] as const)('learns nothing from %s', (kind) => {
    for (const circuit of [closed(2), half(1), open(1), UNTESTED]) {
      expect(afterAttempt(circuit, failed(kind))).toBe(circuit);
    }
  });

  it('learns nothing, once open, from what was under way', () => {
    expect(afterAttempt(open(1), 'succeeded')).toEqual(open(1));
    expect(afterAttempt(open(1), failed('internal'))).toEqual(open(1));
  });

  it('stays open while canaries fail, in their words, and half-opens with a good one', () => {
    expect(afterCanary(open(1), 'no overlay')).toEqual({
      kind: 'open',
      reason: 'a canary container failed: no overlay',
      trials: 2,
    });
    expect(afterCanary(open(1), undefined)).toEqual(half(1));
    expect(afterCanary(UNTESTED, undefined)).toEqual(closed());
    expect(afterCanary(UNTESTED, 'no overlay')).toMatchObject({ kind: 'open', trials: 0 });
  });

  it('rests from 5 s to 60 s between canaries', () => {
    expect([0, 1, 2, 3, 4, 50].map((trials) => canaryRestMs(open(trials)))).toEqual([
      5_000, 10_000, 20_000, 40_000, 60_000, 60_000,
    ]);
    expect(canaryRestMs(UNTESTED)).toBe(0);
    expect(canaryRestMs(closed())).toBeUndefined();
  });

  it('lets one attempt try after a canary, and any number when closed', () => {
    expect([closed(2), half(0), open(0), UNTESTED].map(attemptsAllowed)).toEqual([
      Number.POSITIVE_INFINITY,
      1,
      0,
      0,
    ]);
  });

  it('whatever happens, claims or says why not, and probes when it does not claim', () => {
    const anyEnding = fc.constantFrom('succeeded' as const, ...FAILURE_KINDS.map(failed));
    const anyStep = fc.oneof(
      anyEnding.map((ending) => (circuit: Circuit) => afterAttempt(circuit, ending)),
      fc
        .constantFrom(undefined, 'trouble')
        .map((trouble) => (circuit: Circuit) => afterCanary(circuit, trouble)),
    );
    fc.assert(
      fc.property(fc.array(anyStep), (steps) => {
        const last = steps.reduce((circuit, step) => step(circuit), UNTESTED);
        const claims = attemptsAllowed(last) > 0;
        expect(circuitReason(last) === undefined).toBe(claims);
        expect(canaryRestMs(last) === undefined).toBe(claims);
      }),
    );
  });
});
