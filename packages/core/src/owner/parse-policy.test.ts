import { describe, expect, it } from 'vitest';
import { defaultPolicyDocument } from './owner-policy.ts';
import { parsePolicy } from './parse-policy.ts';

const problemsOf = (document: unknown) => {
  const parsed = parsePolicy(document);
  return parsed.ok ? [] : parsed.error;
};
const withRule = (rule: unknown) => ({ version: 1, rules: [rule] });

describe('a policy', () => {
  it('means what its rules say', () => {
    const parsed = parsePolicy({
      version: 1,
      rules: [
        { when: { onBattery: true, batteryBelow: '30%' }, do: 'hand-back' },
        { when: { inUse: '10m', days: ['sat'] }, do: { cores: '25%' } },
        { when: { inUse: true }, do: { memory: '50%' } },
        { when: { between: '22:00-6:30', metered: true }, do: 'pause' },
        { when: { loadAbove: '150%', hotterThan: 80.5 }, do: 'pause' },
      ],
    });
    expect(parsed).toEqual({
      ok: true,
      value: {
        wake: { isAllowed: true, quiet: [] },
        rules: [
          {
            when: [{ kind: 'on-battery' }, { kind: 'battery-below', percent: 30 }],
            do: { kind: 'hand-back' },
          },
          {
            when: [
              { kind: 'in-use', idleMs: 600_000 },
              { kind: 'days', days: ['sat'] },
            ],
            do: { kind: 'lower', cpus: 0.25, memory: 1 },
          },
          {
            when: [{ kind: 'in-use', idleMs: 300_000 }],
            do: { kind: 'lower', cpus: 1, memory: 0.5 },
          },
          {
            when: [{ kind: 'metered' }, { kind: 'between', fromMinute: 1_320, toMinute: 390 }],
            do: { kind: 'pause' },
          },
          {
            when: [
              { kind: 'load-above', share: 1.5 },
              { kind: 'hotter-than', celsius: 80.5 },
            ],
            do: { kind: 'pause' },
          },
        ],
      },
    });
  });

  it('of nobody is a policy, too, for laptops and others', () => {
    for (const hasBattery of [true, false])
      expect(parsePolicy(defaultPolicyDocument(hasBattery)).ok).toBe(true);
    expect(JSON.stringify(defaultPolicyDocument(false))).not.toContain('attery');
    expect(parsePolicy({ version: 1, rules: [] })).toMatchObject({ value: { rules: [] } });
  });

  it.each([
    [7, '(document)'],
    [{ version: 2, rules: [] }, 'version'],
    [{ version: 1 }, '(document)'],
    [{ version: 1, rules: {} }, 'rules'],
    [withRule({ when: {}, do: 'pause' }), 'rules[0].when'],
    [withRule({ when: { onBattery: true } }), 'rules[0]'],
    [withRule({ when: { onBattery: false }, do: 'pause' }), 'rules[0].when.onBattery'],
    [withRule({ when: { onbattery: true }, do: 'pause' }), 'rules[0].when.onbattery'],
    [withRule({ when: { batteryBelow: 30 }, do: 'pause' }), 'rules[0].when.batteryBelow'],
    [withRule({ when: { batteryBelow: '130%' }, do: 'pause' }), 'rules[0].when.batteryBelow'],
    [withRule({ when: { inUse: false }, do: 'pause' }), 'rules[0].when.inUse'],
    [withRule({ when: { inUse: 'often' }, do: 'pause' }), 'rules[0].when.inUse'],
    [withRule({ when: { between: '9-17' }, do: 'pause' }), 'rules[0].when.between'],
    [withRule({ when: { between: '09:00-25:00' }, do: 'pause' }), 'rules[0].when.between'],
    [withRule({ when: { days: ['sunday'] }, do: 'pause' }), 'rules[0].when.days[0]'],
    [withRule({ when: { hotterThan: '80' }, do: 'pause' }), 'rules[0].when.hotterThan'],
    [withRule({ when: { metered: true }, do: 'stop' }), 'rules[0].do'],
    [withRule({ when: { metered: true }, do: {} }), 'rules[0].do'],
    [withRule({ when: { metered: true }, do: { cores: '0.5' } }), 'rules[0].do.cores'],
  ])('%j is refused at %s', (document, path) => {
    expect(problemsOf(document).map((problem) => problem.path)).toContain(path);
    for (const { problem, advice } of problemsOf(document)) {
      expect(problem).not.toBe('');
      expect(advice).not.toContain('schema of the document');
    }
  });

  it('is told all of its mistakes at once', () => {
    const document = {
      version: 1,
      rules: [
        { when: { onbattery: true }, do: 'pause' },
        { when: { inUse: 'now' }, do: 'halt' },
      ],
    };
    const paths = problemsOf(document).map(({ path }) => path);
    expect(paths).toEqual(['rules[0].when.onbattery', 'rules[1].when.inUse', 'rules[1].do']);
    expect(problemsOf(document)[0]?.advice).toContain('onBattery');
  });
});
