import { describe, expect, it } from 'vitest';
import { judgeOwner, OWNER_CALM_MS, type RuleState } from './judge-owner.ts';
import { type OwnerFacts, unknownFact } from './owner-facts.ts';
import { type PolicyDocument, toPolicy, type WhenDocument } from './owner-policy.ts';

const NOON: OwnerFacts = {
  power: { kind: 'known', onBattery: false, percent: 80 },
  use: { kind: 'known', idleMs: Number.POSITIVE_INFINITY },
  network: { kind: 'known', isMetered: false },
  load: { kind: 'known', busyCores: 1, cores: 4 },
  heat: { kind: 'known', celsius: 50, sensor: 'cpu' },
  time: { day: 1, minute: 720 },
};
type Effect = PolicyDocument['rules'][number]['do'];

function judge(
  rules: readonly (readonly [WhenDocument, Effect])[],
  facts: Partial<OwnerFacts>,
  { before = [] as readonly RuleState[], nowMs = 0, ownCores = 0 } = {},
) {
  const policy = toPolicy({
    version: 1,
    rules: rules.map(([when, effect]) => ({ when, do: effect })),
  });
  return judgeOwner(policy, { facts: { ...NOON, ...facts }, before, nowMs, ownCores });
}

const isOn = (when: WhenDocument, facts: Partial<OwnerFacts>, ownCores = 0): boolean =>
  judge([[when, 'pause']], facts, { ownCores }).verdict.stance === 'paused';

describe('a condition', () => {
  it.each<[string, WhenDocument, Partial<OwnerFacts>, Partial<OwnerFacts>]>([
    ['on battery', { onBattery: true }, { power: { kind: 'known', onBattery: true } }, {}],
    [
      'battery',
      { batteryBelow: '30%' },
      { power: { kind: 'known', onBattery: false, percent: 29 } },
      { power: { kind: 'known', onBattery: true, percent: 30 } },
    ],
    [
      'use',
      { inUse: '5m' },
      { use: { kind: 'known', idleMs: 299_000 } },
      { use: { kind: 'known', idleMs: 300_000 } },
    ],
    ['network', { metered: true }, { network: { kind: 'known', isMetered: true } }, {}],
    [
      'heat',
      { hotterThan: 80 },
      { heat: { kind: 'known', celsius: 81, sensor: 'x' } },
      { heat: { kind: 'known', celsius: 80, sensor: 'x' } },
    ],
    ['day', { days: ['mon', 'fri'] }, {}, { time: { day: 0, minute: 0 } }],
  ])('of %s holds where it holds, and nowhere else', (_, when, holds, not) => {
    expect(isOn(when, holds)).toBe(true);
    expect(isOn(when, not)).toBe(false);
  });

  it.each([
    ['09:00-17:00', [540, 720, 1_019], [539, 1_020]],
    ['22:00-06:30', [1_320, 0, 389], [390, 1_319]],
    ['00:00-00:00', [0, 720, 1_439], []],
  ])('between %s goes by the clock on the wall, over midnight, too', (between, inside, outside) => {
    const at = (minute: number) => isOn({ between }, { time: { day: 1, minute } });
    expect(inside.map(at)).toEqual(inside.map(() => true));
    expect(outside.map(at)).toEqual(outside.map(() => false));
  });

  it('of load does not count what tasks of this peer do', () => {
    const load = { kind: 'known', busyCores: 4, cores: 4 } as const;
    expect(isOn({ loadAbove: '50%' }, { load })).toBe(true);
    expect(isOn({ loadAbove: '50%' }, { load }, 3)).toBe(false);
  });

  it('of what is not known never holds, and says why', () => {
    const unknown = unknownFact('there is no logind');
    const all: WhenDocument[] = [{ inUse: true }, { onBattery: true }, { hotterThan: 1 }];
    const { verdict } = judge(
      all.map((when) => [when, 'hand-back'] as const),
      { use: unknown, power: unknown, heat: unknown },
    );
    expect(verdict.stance).toBe('free');
    for (const { because } of verdict.rules) expect(because).toContain('there is no logind');
  });

  it('holds together with all others of its rule', () => {
    const when = { onBattery: true, batteryBelow: '30%' } as const;
    expect(isOn(when, { power: { kind: 'known', onBattery: true, percent: 80 } })).toBe(false);
    expect(isOn(when, { power: { kind: 'known', onBattery: true, percent: 8 } })).toBe(true);
  });
});

describe('rules together', () => {
  it('let podmesh have what the strictest of them leaves, and say why in words', () => {
    const rules: [WhenDocument, Effect][] = [
      [{ days: ['mon'] }, { cores: '75%', memory: '50%' }],
      [{ between: '09:00-17:00' }, { cores: '50%' }],
      [{ metered: true }, 'pause'],
    ];
    const { verdict } = judge(rules, {});
    expect(verdict).toMatchObject({ stance: 'lowered', cpus: 0.5, memory: 0.5 });
    expect(verdict.reasons).toEqual([
      'on mon: offers 75% of its cores and 50% of its memory',
      '12:00: offers 50% of its cores',
    ]);
    const metered = { network: { kind: 'known', isMetered: true } } as const;
    expect(judge(rules, metered).verdict.stance).toBe('paused');
    rules.push([{ metered: true }, 'hand-back']);
    expect(judge(rules, metered).verdict).toMatchObject({ stance: 'handing-back', cpus: 0.5 });
    expect(judge([], {}).verdict).toMatchObject({ stance: 'free', cpus: 1, memory: 1 });
  });
});

describe('what changes all the time', () => {
  const rules = [[{ hotterThan: 80 }, 'pause']] as const;
  const heat = (celsius: number) => ({ heat: { kind: 'known', celsius, sensor: 'cpu' } as const });

  it('stops nothing and starts nothing each time', () => {
    let before: readonly RuleState[] = [];
    const stances: string[] = [];
    for (let second = 0; second < 600; second += 5) {
      const celsius = second < 300 ? (second % 10 === 0 ? 82 : 74) : 60;
      const judged = judge(rules, heat(celsius), { before, nowMs: second * 1_000 });
      before = judged.states;
      if (stances.at(-1) !== judged.verdict.stance) stances.push(judged.verdict.stance);
    }
    expect(stances).toEqual(['paused', 'free']);
  });

  it('counts as over when it is so by a margin, for a while', () => {
    const hot = judge(rules, heat(81)).states;
    const at = (celsius: number, nowMs: number) =>
      judge(rules, heat(celsius), { before: hot, nowMs }).verdict.stance;
    expect(at(76, 10 * OWNER_CALM_MS)).toBe('paused');
    expect(at(74, OWNER_CALM_MS - 1)).toBe('paused');
    expect(at(74, OWNER_CALM_MS)).toBe('free');
    expect(judge(rules, heat(76)).verdict.stance).toBe('free');
  });
});
