import { unreachable } from '../words/unreachable.ts';
import type { Fact, OwnerFacts } from './owner-facts.ts';
import {
  DAYS,
  type OwnerCondition,
  type OwnerEffect,
  type OwnerPolicy,
  type OwnerRule,
} from './owner-policy.ts';

/** A rule that held goes on to hold until it did not for so long: what flaps must not stop and start tasks. */
export const OWNER_CALM_MS = 60_000;
/** Once a rule holds, it takes so much more until its amounts count as over. */
const PERCENT_SLACK = 5;
const LOAD_SLACK = 0.2;
const CELSIUS_SLACK = 5;

/** What is remembered of a rule from one look to the next. */
export interface RuleState {
  readonly isOn: boolean;
  /** The last time it was seen to hold. */
  readonly heldAtMs: number;
}

/** How a rule stands at this moment, in words for its owner. */
export interface RuleVerdict {
  readonly rule: string;
  readonly isOn: boolean;
  /** What was found for each of its conditions; while it calms down, that it does. */
  readonly because: string;
}

/** What the owner lets podmesh have. */
export interface OwnerVerdict {
  /** The strictest of all rules that hold. */
  readonly stance: 'free' | 'lowered' | 'paused' | 'handing-back';
  /** Shares of what it would offer, 0 to 1. */
  readonly cpus: number;
  readonly memory: number;
  /** Why, for everybody in the mesh; empty while it is free. */
  readonly reasons: readonly string[];
  readonly rules: readonly RuleVerdict[];
}

export interface OwnerLook {
  readonly facts: OwnerFacts;
  /** Of the look before, in the order of the rules; empty at first. */
  readonly before: readonly RuleState[];
  /** By a clock that never goes back. */
  readonly nowMs: number;
  /** Cores that tasks of this peer hold: their load is not somebody else's. */
  readonly ownCores: number;
}

export const FREE: OwnerVerdict = {
  stance: 'free',
  cpus: 1,
  memory: 1,
  reasons: [],
  rules: [],
};

/** What the policy says of the machine as it is. */
export function judgeOwner(
  { rules }: OwnerPolicy,
  look: OwnerLook,
): { readonly verdict: OwnerVerdict; readonly states: readonly RuleState[] } {
  const judged = rules.map((rule, at) => judgeRule(rule, look, look.before[at]));
  const on = judged.filter(({ state }) => state.isOn);
  const lowered = on.flatMap(({ effect }) => (effect.kind === 'lower' ? [effect] : []));
  const verdict: OwnerVerdict = {
    stance: stanceOf(on.map(({ effect }) => effect)),
    cpus: Math.min(1, ...lowered.map(({ cpus }) => cpus)),
    memory: Math.min(1, ...lowered.map(({ memory }) => memory)),
    reasons: on.map(({ effect, told }) => `${told.because}: ${effectText(effect)}`),
    rules: judged.map(({ told }) => told),
  };
  return { verdict, states: judged.map(({ state }) => state) };
}

function judgeRule(rule: OwnerRule, look: OwnerLook, before: RuleState | undefined) {
  const wasOn = before?.isOn ?? false;
  const found = rule.when.map((condition) => find(condition, look, wasOn));
  const holds = found.every((finding) => finding.holds);
  const heldAtMs = holds ? look.nowMs : (before?.heldAtMs ?? Number.NEGATIVE_INFINITY);
  const isOn = holds || (wasOn && look.nowMs - heldAtMs < OWNER_CALM_MS);
  const words = found.map(({ text }) => text).join(', ');
  const because = isOn && !holds ? `${words} (for less than ${OWNER_CALM_MS / 1_000} s)` : words;
  const state: RuleState = { isOn, heldAtMs };
  return { effect: rule.do, state, told: { rule: ruleText(rule), isOn, because } };
}

interface Finding {
  readonly holds: boolean;
  readonly text: string;
}

function find(condition: OwnerCondition, look: OwnerLook, wasOn: boolean): Finding {
  const { facts, ownCores } = look;
  switch (condition.kind) {
    case 'on-battery':
      return of(facts.power, 'power supply', ({ onBattery, percent }) => {
        const left = percent === undefined ? '' : ` (${Math.round(percent)}% left)`;
        return { holds: onBattery, text: onBattery ? `on battery${left}` : 'on mains power' };
      });
    case 'battery-below':
      return of(facts.power, 'power supply', ({ percent }) => {
        if (percent === undefined) return { holds: false, text: 'no battery' };
        const least = condition.percent + (wasOn ? PERCENT_SLACK : 0);
        return { holds: percent < least, text: `battery at ${Math.round(percent)}%` };
      });
    case 'in-use':
      return of(facts.use, 'whether somebody uses it', ({ idleMs }) => ({
        holds: idleMs < condition.idleMs,
        text: useText(idleMs, condition.idleMs),
      }));
    case 'metered':
      return of(facts.network, 'whether its network is metered', ({ isMetered }) => ({
        holds: isMetered,
        text: isMetered ? 'on a metered network' : 'on a network that is not metered',
      }));
    case 'between':
      return { holds: isBetween(facts.time.minute, condition), text: timeText(facts.time.minute) };
    case 'days': {
      const day = DAYS[facts.time.day] ?? 'sun';
      return { holds: condition.days.includes(day), text: `on ${day}` };
    }
    case 'load-above':
      return of(facts.load, 'load', ({ busyCores, cores }) => {
        const share = Math.max(0, busyCores - ownCores) / cores;
        const most = condition.share * (wasOn ? 1 - LOAD_SLACK : 1);
        const text = `other programs keep ${percentText(share)} of its cores busy`;
        return { holds: share > most, text };
      });
    case 'hotter-than':
      return of(facts.heat, 'temperature', ({ celsius, sensor }) => {
        const most = condition.celsius - (wasOn ? CELSIUS_SLACK : 0);
        return { holds: celsius > most, text: `${Math.round(celsius)} °C at ${sensor}` };
      });
    default:
      return unreachable(condition);
  }
}

/** What is not known never holds. */
function of<T extends object>(fact: Fact<T>, what: string, judge: (fact: T) => Finding): Finding {
  if (fact.kind === 'unknown') return { holds: false, text: `${what} not known: ${fact.why}` };
  return judge(fact);
}

/** The same minute twice means the whole day. */
export function isBetween(
  minute: number,
  { fromMinute, toMinute }: { readonly fromMinute: number; readonly toMinute: number },
): boolean {
  if (fromMinute < toMinute) return minute >= fromMinute && minute < toMinute;
  return minute >= fromMinute || minute < toMinute;
}

function stanceOf(effects: readonly OwnerEffect[]): OwnerVerdict['stance'] {
  if (effects.some(({ kind }) => kind === 'hand-back')) return 'handing-back';
  if (effects.some(({ kind }) => kind === 'pause')) return 'paused';
  return effects.length > 0 ? 'lowered' : 'free';
}

function useText(idleMs: number, mostMs: number): string {
  if (idleMs === Number.POSITIVE_INFINITY) return 'nobody is logged in at it';
  return idleMs < mostMs ? `in use within ${spanText(mostMs)}` : `idle for ${spanText(idleMs)}`;
}

function ruleText({ when, do: effect }: OwnerRule): string {
  return `${when.map(conditionText).join(', ')}: ${effectText(effect)}`;
}

function conditionText(condition: OwnerCondition): string {
  switch (condition.kind) {
    case 'on-battery':
      return 'on battery';
    case 'battery-below':
      return `battery below ${Math.round(condition.percent)}%`;
    case 'in-use':
      return `in use within ${spanText(condition.idleMs)}`;
    case 'metered':
      return 'on a metered network';
    case 'between':
      return `from ${timeText(condition.fromMinute)} to ${timeText(condition.toMinute)}`;
    case 'days':
      return `on ${condition.days.join(', ')}`;
    case 'load-above':
      return `others keep over ${percentText(condition.share)} of its cores busy`;
    case 'hotter-than':
      return `hotter than ${condition.celsius} °C`;
    default:
      return unreachable(condition);
  }
}

function effectText(effect: OwnerEffect): string {
  switch (effect.kind) {
    case 'pause':
      return 'claims nothing';
    case 'hand-back':
      return 'claims nothing and gives back what runs';
    case 'lower': {
      const parts = [
        ...(effect.cpus < 1 ? [`${percentText(effect.cpus)} of its cores`] : []),
        ...(effect.memory < 1 ? [`${percentText(effect.memory)} of its memory`] : []),
      ];
      return `offers ${parts.length === 0 ? 'everything' : parts.join(' and ')}`;
    }
    default:
      return unreachable(effect);
  }
}

const percentText = (share: number): string => `${Math.round(share * 100)}%`;

const timeText = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

function spanText(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}
