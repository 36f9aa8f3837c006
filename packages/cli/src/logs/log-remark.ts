import { EMPTY_ARTIFACT, unreachable } from '@podmesh/core';
import { sanitise } from '../render/sanitise.ts';
import type { TaskLog } from './print-logs.ts';

/** Why there is nothing to see, or not all of it, in words for a terminal; undefined: nothing is to be said. */
export function logRemark({ task, place }: TaskLog, seenLive: boolean): string | undefined {
  switch (place.kind) {
    case 'none':
      return `${task} has no log: ${place.why}`;
    case 'live':
      if (place.why === undefined) return undefined;
      return seenLive
        ? `the peer of attempt ${place.attempt} vanished: this is what ${task} was seen writing until then`
        : `${task} has no log: ${place.why}`;
    case 'stored':
      if (place.log.short !== undefined)
        return `the log of ${task} is on one disk only: ${sanitise(place.log.short)}`;
      // Of a log with a hole in it nobody knows that.
      return place.log.digest === EMPTY_ARTIFACT && !place.log.truncated
        ? `${task} wrote nothing to its log; what goes to an output like fd:1 is no log`
        : undefined;
    default:
      return unreachable(place);
  }
}
