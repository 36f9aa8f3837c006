/** How many more servers a cluster of `total` can lose when `alive` of them answer; below zero: it has stopped. */
export function lossesLeft(total: number, alive: number): number {
  return alive - quorumOf(total);
}

/** Servers that must agree on every fact. */
export const quorumOf = (total: number): number => Math.floor(total / 2) + 1;

export interface Survival {
  /** Whether nothing about it needs a person. */
  readonly ok: boolean;
  readonly found: string;
  readonly repair?: string;
}

/**
 * What the mesh survives, in words, and what to do about it where that is less than it could be. `isOwn`: daemons look
 * after the servers, not people.
 */
export function survivalOf(total: number, silent: readonly string[], isOwn = true): Survival {
  const alive = total - silent.length;
  const left = lossesLeft(total, alive);
  const gone = silent.length === 0 ? '' : `; ${silent.join(' and ')} ${verb(silent)} not answer`;
  if (left < 0) {
    const missing = -left;
    return {
      ok: false,
      found: `${alive} of ${total} anchors answer, ${quorumOf(total)} are needed: the mesh stands still${gone}`,
      repair:
        `Everything waits and nothing is lost. Bring ${missing === 1 ? 'one' : missing} of them back, on any machine ` +
        `that has its disk and its address${isOwn ? rescueWords(silent) : ''}`,
    };
  }
  if (total === 1)
    return {
      ok: true,
      found:
        'one anchor: the only copy of everything; the mesh stops with it, and a dead disk is a dead mesh',
      ...(isOwn ? { repair: 'With three steady machines: podmesh anchors set A B C' } : {}),
    };
  if (total % 2 === 0)
    return {
      ok: false,
      found: `${total} anchors survive ${losses(left)}, no more than ${total - 1} would${gone}`,
      repair: `One fewer survives as much${isOwn ? `: podmesh anchors set with ${total - 1} of them` : ''}`,
    };
  const found = `${total} anchors, ${alive} of them answer: the mesh survives ${losses(left)}${gone}`;
  if (silent.length === 0) return { ok: true, found };
  return {
    ok: left > 0,
    found,
    repair: silent
      .map((name) =>
        isOwn
          ? `Start ${name} again, or give its place to another: podmesh anchors replace ${name} NEW`
          : `Start ${name} again`,
      )
      .join('\n'),
  };
}

const rescueWords = (silent: readonly string[]): string =>
  `. Only if none of them ever comes back, on one that answers: podmesh anchors rescue --lost ${silent.join(',')}`;

const losses = (left: number): string =>
  left === 0 ? 'no further loss' : left === 1 ? 'one more loss' : `${left} more losses`;
const verb = (names: readonly string[]): string => (names.length === 1 ? 'does' : 'do');
