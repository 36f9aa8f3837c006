/** What of a version decides whether two programs understand each other. */
export interface Release {
  readonly major: number;
  readonly minor: number;
}

/** Programs and state may be so many minor versions apart (README, "Upgrading"). */
export const MINORS_APART_MAX = 1;

/** Of a semantic version, whatever follows its second number; undefined of anything else. */
export function parseRelease(version: string): Release | undefined {
  const found = /^(\d{1,6})\.(\d{1,6})(?:[.+-].*)?$/.exec(version.trim());
  return found === null ? undefined : { major: Number(found[1]), minor: Number(found[2]) };
}

/** By how many minor versions `one` is newer than `other`; negative: older; infinite: by a major one. */
export function minorsAhead(one: Release, other: Release): number {
  if (one.major === other.major) return one.minor - other.minor;
  return one.major > other.major ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
}

/** Whether programs of both versions may work in one mesh; not, when one of them is no version. */
export function areCompatible(one: string, other: string): boolean {
  const [left, right] = [parseRelease(one), parseRelease(other)];
  if (left === undefined || right === undefined) return false;
  return Math.abs(minorsAhead(left, right)) <= MINORS_APART_MAX;
}
