import type { SleepingPeer } from '../placement/sleeping-peers.ts';
import { isBetween, judgeOwner } from './judge-owner.ts';
import type { LocalTime, OwnerFacts } from './owner-facts.ts';
import {
  DAYS,
  type OwnerCondition,
  type OwnerPolicy,
  type OwnerRule,
  type QuietTime,
} from './owner-policy.ts';

/** What passes while a machine sleeps: nobody uses it, and it cools down. */
const PASSING: readonly OwnerCondition['kind'][] = ['in-use', 'load-above', 'hotter-than'];
const TIMED: readonly OwnerCondition['kind'][] = ['between', 'days'];

/**
 * What the owner of a machine that goes to sleep wishes of those who could wake it. Nobody wakes a machine that would
 * claim nothing then: by the rules for this time of the day, or as it stands when it falls asleep (on battery, metered);
 * undefined: nobody has looked yet.
 */
export function sleepWishOf(
  policy: OwnerPolicy,
  facts: OwnerFacts | undefined,
): Pick<SleepingPeer, 'forbids' | 'quiet'> {
  const { isAllowed, quiet } = policy.wake;
  if (!isAllowed) return { forbids: 'its owner wants it so (wake: false in its policy)', quiet };
  const strict = policy.rules.filter(({ do: effect }) => effect.kind !== 'lower');
  const timed = strict.flatMap(({ when }) => (when.every(isTimed) ? [quietTimeOf(when)] : []));
  const all = [...quiet, ...timed];
  if (facts === undefined) return { quiet: all };
  const rules = strict.flatMap(standing);
  const { verdict } = judgeOwner(
    { ...policy, rules },
    { facts, before: [], nowMs: 0, ownCores: 0 },
  );
  const { reasons } = verdict;
  const why = reasons.length === 0 ? {} : { forbids: `as it fell asleep, ${reasons.join('; ')}` };
  return { ...why, quiet: all };
}

/** Whether one of the times holds at this moment of the sleeper's day. */
export const isQuietAt = (quiet: readonly QuietTime[], { day, minute }: LocalTime): boolean =>
  quiet.some((time) => {
    const isDay = time.days === undefined || time.days.includes(DAYS[day] ?? 'sun');
    return isDay && isBetween(minute, time);
  });

const isTimed = ({ kind }: OwnerCondition): boolean => TIMED.includes(kind);

/** The rule at whatever time, where what it asks for outlasts falling asleep. */
function standing({ when, do: effect }: OwnerRule): readonly OwnerRule[] {
  const lasting = when.filter((condition) => !isTimed(condition));
  if (lasting.length === 0 || lasting.some(({ kind }) => PASSING.includes(kind))) return [];
  return [{ when: lasting, do: effect }];
}

function quietTimeOf(when: readonly OwnerCondition[]): QuietTime {
  let time: QuietTime = { fromMinute: 0, toMinute: 0 };
  for (const condition of when) {
    if (condition.kind === 'between') {
      const { fromMinute, toMinute } = condition;
      time = { ...time, fromMinute, toMinute };
    }
    if (condition.kind === 'days') time = { ...time, days: condition.days };
  }
  return time;
}
