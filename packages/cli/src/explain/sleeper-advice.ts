import { type NotedSleeper, type Requirements, satisfies } from '@podmesh/core';
import { sanitise } from '../render/sanitise.ts';

const NAMED_MAX = 3;

/** Which machines sleep that could do what waits, and how they are woken. */
export function sleeperAdvice(
  requirements: Requirements,
  sleepers: readonly NotedSleeper[],
): readonly string[] {
  const able = sleepers.filter(
    ({ sleeper }) => satisfies(requirements, sleeper.offering).length === 0,
  );
  return able.slice(0, NAMED_MAX).map(({ sleeper: { peer, forbids, calls } }) => {
    if (forbids !== undefined)
      return `${peer} sleeps and could take it, but nobody may wake it: ${sanitise(forbids)}`;
    const called =
      calls === undefined ? '' : ` (it was called: ${calls.count}, last by ${calls.by})`;
    return `${peer} sleeps and could take it${called}: peers in its network wake it when nobody else has room for a minute; at once: podmesh wake ${peer}`;
  });
}
