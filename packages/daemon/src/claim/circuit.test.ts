import { claimId, FAILURE_KINDS, type FailureKind } from '@podmesh/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterAttempt,
  afterCanary,
  type Circuit,
  canaryRestMs,
  circuitReason,
  type EndingForCircuit,
  FAILURES_IN_A_ROW_MAX,
  mayBegin,
  suspectsOf,
  UNTESTED,
} from './circuit.ts';

const closed = (failures = 0): Circuit => ({
  kind: 'closed',
  failing: Array.from({ length: failures }, (_, n) => `run/job${n}`),
  suspects: [],
});
const open = (trials: number): Circuit => ({
  kind: 'open',
  reason: 'r',
  trials,
  failing: [],
  suspects: [],
});
const [old, young] = [claimId('old'), claimId('young')];
const half = (trials: number): Circuit => ({
  kind: 'half-open',
  trials,
  before: new Set([old]),
  suspects: [],
});
const after = (circuit: Circuit, ending: EndingForCircuit, job = 'run/job2', claim = young) =>
  afterAttempt(circuit, { claim, job, ending });
const canary = (circuit: Circuit, trouble?: string) => afterCanary(circuit, trouble, [old]);
const failed = (kind: FailureKind) => ({ kind, message: 'told' });

describe('the circuit', () => {
  it('opens after three failures in a row by the fault of the machine, and tells the last one', () => {
    const opened = Array.from({ length: FAILURES_IN_A_ROW_MAX }).reduce<Circuit>(
      (circuit) => after(circuit, failed('start-failed')),
      closed(),
    );
    expect(opened).toMatchObject({ kind: 'open', trials: 0 });
    expect(circuitReason(opened, [])).toContain('the last one: start-failed: told');
  });

  it.each(['start-failed', 'oom-host', 'disk-host', 'internal'] as const)('counts %s', (kind) => {
    expect(after(closed(1), failed(kind), 'run/job1')).toEqual(closed(2));
    expect(after(half(2), failed(kind))).toMatchObject({ kind: 'open', trials: 3 });
  });

  it.each(['exit', 'oom-task', 'disk-task', 'timeout', 'output-missing'] as const)(
    'is closed by %s, which says that containers run here',
    (kind) => {
      expect(after(closed(2), failed(kind))).toEqual(closed());
      expect(after(half(2), failed(kind))).toEqual(closed());
    },
  );

  it('is closed by a success', () => {
    expect(after(half(4), 'succeeded')).toEqual(closed());
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
      expect(after(circuit, failed(kind))).toBe(circuit);
    }
  });

  it('learns nothing, once open, from what was under way', () => {
    expect(after(open(1), 'succeeded')).toEqual(open(1));
    expect(after(open(1), failed('internal'))).toEqual(open(1));
  });

  it('stays open while canaries fail, in their words, and half-opens with a good one', () => {
    expect(canary(open(1), 'no overlay')).toEqual({
      kind: 'open',
      reason: 'a canary container failed: no overlay',
      trials: 2,
      failing: [],
      suspects: [],
    });
    expect(canary(open(1))).toEqual(half(1));
    expect(canary(UNTESTED)).toEqual(closed());
    expect(canary(UNTESTED, 'no overlay')).toMatchObject({ kind: 'open', trials: 0 });
  });

  it('rests from 5 s to 60 s between canaries', () => {
    expect([0, 1, 2, 3, 4, 50].map((trials) => canaryRestMs(open(trials)))).toEqual([
      5_000, 10_000, 20_000, 40_000, 60_000, 60_000,
    ]);
    expect(canaryRestMs(UNTESTED)).toBe(0);
    expect(canaryRestMs(closed())).toBeUndefined();
  });

  it('lets one attempt try after a canary, beside those of before, and any number when closed', () => {
    const beside = (circuit: Circuit, ...claims: readonly (typeof old)[]) =>
      mayBegin(circuit, claims);
    expect([beside(half(0)), beside(half(0), old), beside(half(0), old, young)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(circuitReason(half(0), [old, young])).toContain('decides');
    expect([beside(closed(2), old, young), beside(open(0)), beside(UNTESTED)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('is not decided, after a canary, by what was under way before', () => {
    expect(after(half(1), failed('internal'), 'run/job', old)).toEqual(half(1));
    expect(after(half(1), 'succeeded', 'run/job', old)).toEqual(half(1));
  });

  it('suspects the job when it alone fails and the canary does well', () => {
    const fail = (circuit: Circuit) => after(circuit, failed('start-failed'), 'run/bad');
    const opened = fail(fail(fail(closed())));
    expect(opened.kind).toBe('open');
    const suspecting = canary(opened);
    expect(suspecting).toEqual({
      kind: 'closed',
      failing: [],
      suspects: [{ job: 'run/bad', reason: opened.kind === 'open' && opened.reason }],
    });
    expect(suspectsOf(suspecting)).toHaveLength(1);
    // Others may come and go; the same list means that nothing is news.
    expect(suspectsOf(after(suspecting, 'succeeded'))).toBe(suspectsOf(suspecting));
    expect(fail(fail(fail(fail(suspecting))))).toBe(suspecting);
    expect(canary(opened, 'no overlay')).toMatchObject({ kind: 'open', suspects: [] });
    expect(after(suspecting, 'succeeded', 'run/bad')).toEqual(closed());
  });

  it('whatever happens, claims or says why not, and probes when it does not claim', () => {
    const anyEnding = fc.constantFrom('succeeded' as const, ...FAILURE_KINDS.map(failed));
    const anyStep = fc.oneof(
      anyEnding.map((ending) => (circuit: Circuit) => after(circuit, ending)),
      fc
        .constantFrom(undefined, 'trouble')
        .map((trouble) => (circuit: Circuit) => canary(circuit, trouble)),
    );
    fc.assert(
      fc.property(fc.array(anyStep), (steps) => {
        const last = steps.reduce((circuit, step) => step(circuit), UNTESTED);
        const claims = mayBegin(last, []);
        expect(circuitReason(last, []) === undefined).toBe(claims);
        expect(canaryRestMs(last) === undefined).toBe(claims);
      }),
    );
  });
});
