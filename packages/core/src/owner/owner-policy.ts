import { millisecondsOf } from '../graph/parse-quantity.ts';

/** Days of the week as a policy names them, in the order of `LocalTime.day`. */
export const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type Day = (typeof DAYS)[number];

/** When the owner of a machine wants it back, or some of it; several rules may hold at the same time. */
export interface OwnerPolicy {
  readonly rules: readonly OwnerRule[];
  readonly wake: WakeWish;
}

/** Whether others may wake the machine when it sleeps. */
export interface WakeWish {
  readonly isAllowed: boolean;
  /** Times at which it is left asleep. */
  readonly quiet: readonly QuietTime[];
}

/** Holds at these minutes of these days, local time; `from` after `to` goes over midnight. Without days: on all. */
export interface QuietTime {
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly days?: readonly Day[];
}

/** Holds when all of its conditions do. */
export interface OwnerRule {
  readonly when: readonly OwnerCondition[];
  readonly do: OwnerEffect;
}

export type OwnerCondition =
  | { readonly kind: 'on-battery' }
  | { readonly kind: 'battery-below'; readonly percent: number }
  /** Somebody at its screen and keyboard did something less than so long ago. */
  | { readonly kind: 'in-use'; readonly idleMs: number }
  | { readonly kind: 'metered' }
  /** Minutes of the day, local time; `from` after `to` goes over midnight. */
  | { readonly kind: 'between'; readonly fromMinute: number; readonly toMinute: number }
  | { readonly kind: 'days'; readonly days: readonly Day[] }
  /** Share of the cores that other programs keep busy, 0 to 1 and above. */
  | { readonly kind: 'load-above'; readonly share: number }
  | { readonly kind: 'hotter-than'; readonly celsius: number };

export type OwnerEffect =
  /** Claims nothing more; what runs goes on. */
  | { readonly kind: 'pause' }
  /** Claims nothing more, and what runs is given back. */
  | { readonly kind: 'hand-back' }
  /** Offers these shares (0 to 1) of what it would; what runs goes on. */
  | { readonly kind: 'lower'; readonly cpus: number; readonly memory: number };

/** The file as people write it. */
export interface PolicyDocument {
  readonly version: 1;
  /** Absent: true. */
  readonly wake?: boolean | { readonly quiet: string | readonly string[] };
  readonly rules: readonly {
    readonly when: WhenDocument;
    readonly do: 'pause' | 'hand-back' | { readonly cores?: string; readonly memory?: string };
  }[];
}

export interface WhenDocument {
  readonly onBattery?: true;
  readonly batteryBelow?: string;
  readonly inUse?: true | string;
  readonly metered?: true;
  readonly between?: string;
  readonly days?: readonly Day[];
  readonly loadAbove?: string;
  readonly hotterThan?: number;
}

/** `inUse: true` means that somebody did something less than so long ago. */
const IN_USE = '5m';

/** What holds on a machine whose owner has written nothing. */
export function defaultPolicyDocument(hasBattery: boolean): PolicyDocument {
  const everywhere = [
    { when: { inUse: IN_USE }, do: { cores: '50%', memory: '50%' } },
    { when: { metered: true }, do: 'pause' },
    { when: { hotterThan: 95 }, do: 'pause' },
  ] as const;
  const laptop = [
    { when: { onBattery: true }, do: 'pause' },
    { when: { onBattery: true, batteryBelow: '30%' }, do: 'hand-back' },
  ] as const;
  return { version: 1, rules: hasBattery ? [...laptop, ...everywhere] : everywhere };
}

/** What a document that fits the schema means. */
export function toPolicy({ rules, wake = true }: PolicyDocument): OwnerPolicy {
  const quiet = typeof wake === 'boolean' ? [] : [wake.quiet].flat();
  return {
    wake: { isAllowed: wake !== false, quiet: quiet.map(toWindow) },
    rules: rules.map(({ when, do: effect }) => ({
      when: toConditions(when),
      do: toEffect(effect),
    })),
  };
}

function toConditions(when: WhenDocument): readonly OwnerCondition[] {
  const conditions: OwnerCondition[] = [];
  if (when.onBattery !== undefined) conditions.push({ kind: 'on-battery' });
  if (when.batteryBelow !== undefined)
    conditions.push({ kind: 'battery-below', percent: shareOf(when.batteryBelow) * 100 });
  if (when.inUse !== undefined) {
    const idleMs = millisecondsOf(when.inUse === true ? IN_USE : when.inUse);
    conditions.push({ kind: 'in-use', idleMs });
  }
  if (when.metered !== undefined) conditions.push({ kind: 'metered' });
  if (when.between !== undefined) conditions.push({ kind: 'between', ...toWindow(when.between) });
  if (when.days !== undefined) conditions.push({ kind: 'days', days: when.days });
  if (when.loadAbove !== undefined)
    conditions.push({ kind: 'load-above', share: shareOf(when.loadAbove) });
  if (when.hotterThan !== undefined)
    conditions.push({ kind: 'hotter-than', celsius: when.hotterThan });
  return conditions;
}

function toWindow(text: string): QuietTime {
  const [fromMinute = 0, toMinute = 0] = text.split('-').map((time) => {
    const [hours = 0, minutes = 0] = time.trim().split(':').map(Number);
    return hours * 60 + minutes;
  });
  return { fromMinute, toMinute };
}

function toEffect(effect: PolicyDocument['rules'][number]['do']): OwnerEffect {
  if (typeof effect === 'string') return { kind: effect };
  return { kind: 'lower', cpus: shareOf(effect.cores), memory: shareOf(effect.memory) };
}

/** 0 to 1 of a text such as `50%`; all of it where nothing is said. */
function shareOf(text: string | undefined): number {
  return text === undefined ? 1 : Number.parseFloat(text) / 100;
}
