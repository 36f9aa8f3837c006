import { describe, expect, it } from 'vitest';
import { type OwnerFacts, unknownFact } from './owner-facts.ts';
import { type PolicyDocument, toPolicy } from './owner-policy.ts';
import { parsePolicy } from './parse-policy.ts';
import { isQuietAt, sleepWishOf } from './wake-wish.ts';

const unknown = unknownFact('a test');
const MAINS: OwnerFacts = {
  power: { kind: 'known', onBattery: false, percent: 80 },
  use: { kind: 'known', idleMs: 0 },
  network: { kind: 'known', isMetered: false },
  load: unknown,
  heat: { kind: 'known', celsius: 99, sensor: 'cpu' },
  time: { day: 1, minute: 720 },
};
const BATTERY: OwnerFacts = { ...MAINS, power: { kind: 'known', onBattery: true, percent: 80 } };

const wish = (document: Omit<PolicyDocument, 'version'>, facts = MAINS) =>
  sleepWishOf(toPolicy({ version: 1, ...document }), facts);

describe('what the owner of a sleeping machine wishes', () => {
  it('is nothing where the policy says nothing, or what passes in its sleep', () => {
    expect(wish({ rules: [] })).toEqual({ quiet: [] });
    const rules = [
      { when: { inUse: '5m' }, do: 'pause' },
      { when: { hotterThan: 90 }, do: 'hand-back' },
      { when: { onBattery: true, inUse: true }, do: 'pause' },
      { when: { onBattery: true }, do: { cores: '50%' } },
    ] as const;
    expect(wish({ rules }, BATTERY)).toEqual({ quiet: [] });
  });

  it('is that nobody wakes it, by its word or as it fell asleep', () => {
    expect(wish({ wake: false, rules: [] }).forbids).toContain('wake: false');
    const rules = [{ when: { onBattery: true, between: '01:00-02:00' }, do: 'pause' }] as const;
    expect(wish({ rules }, BATTERY).forbids).toContain('on battery (80% left)');
    expect(wish({ rules }).forbids).toBeUndefined();
  });

  it('is a time of the day at which it sleeps on, said or by rules for that time', () => {
    const { quiet } = wish({
      wake: { quiet: '22:00-06:00' },
      rules: [
        { when: { days: ['sat', 'sun'] }, do: 'pause' },
        { when: { between: '12:00-13:00', days: ['mon'] }, do: 'hand-back' },
        { when: { between: '15:00-16:00' }, do: { cores: '10%' } },
      ],
    });
    const at = (day: number, hour: number) => isQuietAt(quiet, { day, minute: hour * 60 });
    expect([at(1, 23), at(1, 5), at(6, 15), at(0, 15), at(1, 12)]).not.toContain(false);
    expect([at(1, 6), at(1, 21), at(2, 12), at(1, 15), at(5, 15)]).not.toContain(true);
    expect(isQuietAt([], { day: 0, minute: 0 })).toBe(false);
  });

  it('is known by the rules alone where nobody has looked at the machine yet', () => {
    const rules = [
      { when: { onBattery: true }, do: 'pause' },
      { when: { between: '22:00-06:00' }, do: 'hand-back' },
    ] as const;
    const document = { version: 1, rules } as const;
    const quiet = [{ fromMinute: 1320, toMinute: 360 }];
    expect(sleepWishOf(toPolicy(document), undefined)).toEqual({ quiet });
    const never = sleepWishOf(toPolicy({ ...document, wake: false }), undefined);
    expect(never.forbids).toContain('wake: false');
  });

  it.each([
    ['a word', 'never'],
    ['no time', { quiet: 'night' }],
    ['another wish', { loud: '08:00-09:00' }],
    ['nothing', {}],
  ])('is refused with advice where it is %s', (_, wake) => {
    const parsed = parsePolicy({ version: 1, rules: [], wake });
    expect(parsed.ok).toBe(false);
    if (!parsed.ok) expect(parsed.error[0]?.path).toMatch(/^wake/);
  });

  it('may be written as one time or several', () => {
    for (const quiet of ['22:00-06:00', ['22:00-06:00', '12:00 - 13:00']])
      expect(parsePolicy({ version: 1, rules: [], wake: { quiet } }).ok).toBe(true);
    expect(parsePolicy({ version: 1, rules: [], wake: false }).ok).toBe(true);
  });
});
