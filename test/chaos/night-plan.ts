import { Random } from '@podmesh/testkit';

export type FaultKind = 'cut' | 'kill' | 'power-loss' | 'freeze' | 'fill-disk';

/** Who is who in the night. */
export interface Cast {
  readonly laptop: string;
  readonly anchors: readonly string[];
  readonly desk: string;
}

/** One fault: what befalls whom, when, and for how long. */
export interface Blow {
  readonly kind: FaultKind;
  readonly machine: string;
  /** Begins when so many seconds have passed since the publishing, and this share of the tasks has finished. */
  readonly afterSeconds: number;
  readonly afterShare: number;
  /** Undefined: for good. */
  readonly seconds: number | undefined;
}

/** How long a night is. */
export interface NightLength {
  readonly laptopCutSeconds: number;
  readonly partitionSeconds: number;
  /** More faults of anchors and of the desk, after those that belong to every night. */
  readonly moreBlows: number;
}

/** Faults of anchors follow each other, so that two of the three are there for most of the time; the others come when they come. */
export interface NightPlan {
  readonly anchors: readonly Blow[];
  readonly others: readonly Blow[];
}

/** By then all faults have begun, so that the run goes on after them. */
const LAST_SHARE = 0.6;
const DOWN_SECONDS = { low: 2, high: 12 };
/** Beyond a lease: what was claimed there is done elsewhere. */
const FREEZE_SECONDS = { low: 5, high: 25 };
const FULL_SECONDS = { low: 10, high: 30 };
/** Those that befall anchors of every night, each another one. */
const EACH_NIGHT: readonly FaultKind[] = ['kill', 'cut', 'power-loss'];
const MORE: readonly FaultKind[] = ['kill', 'power-loss', 'freeze', 'cut', 'fill-disk'];

/** A pure function of the seed. */
export function nightPlan(seed: string, cast: Cast, length: NightLength): NightPlan {
  const random = new Random(seed);
  const [whom, when, how] = [random.fork('whom'), random.fork('when'), random.fork('how')];
  const anchors = shuffled(cast.anchors, whom);
  const seconds = (kind: FaultKind): number => {
    if (kind === 'cut') return length.partitionSeconds;
    if (kind === 'fill-disk') return how.between(FULL_SECONDS.low, FULL_SECONDS.high);
    if (kind === 'freeze') return how.between(FREEZE_SECONDS.low, FREEZE_SECONDS.high);
    return how.between(DOWN_SECONDS.low, DOWN_SECONDS.high);
  };
  const hit = (kind: FaultKind, machine: string): Blow => {
    return { kind, machine, afterSeconds: 0, afterShare: 0, seconds: seconds(kind) };
  };
  const first = shuffled(EACH_NIGHT, how).map((kind, at) => hit(kind, anchors[at] ?? ''));
  const more = Array.from({ length: length.moreBlows }, () => {
    const kind = how.pick(MORE) ?? 'kill';
    return hit(kind, kind === 'fill-disk' ? cast.desk : (whom.pick(cast.anchors) ?? ''));
  });
  const isDesk = ({ machine }: Blow): boolean => machine === cast.desk;
  const laptop: Blow = {
    ...{ kind: 'cut', machine: cast.laptop, afterShare: 0, seconds: undefined },
    afterSeconds: length.laptopCutSeconds,
  };
  return {
    anchors: spread([...first, ...more.filter((blow) => !isDesk(blow))], when),
    others: [laptop, ...spread([hit('fill-disk', cast.desk), ...more.filter(isDesk)], when)],
  };
}

/** The plan in one line for each blow, for a person who reads what a test printed. */
export function planText({ anchors, others }: NightPlan): string {
  const lines = [...others, ...anchors].map(({ kind, machine, ...when }) => {
    const after = `${when.afterSeconds} s and ${Math.round(when.afterShare * 100)}% of the tasks`;
    const length = when.seconds === undefined ? 'for good' : `for ${when.seconds} s`;
    return `  after ${after}: ${kind} ${machine} ${length}`;
  });
  return lines.join('\n');
}

/** One in each of equal parts of the night, in order. */
function spread(blows: readonly Blow[], random: Random): readonly Blow[] {
  const part = LAST_SHARE / blows.length;
  return blows.map((blow, at) => {
    const share = (at + random.next()) * part;
    return { ...blow, afterShare: Math.round(share * 1_000) / 1_000 };
  });
}

function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  return items
    .map((item) => ({ item, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
