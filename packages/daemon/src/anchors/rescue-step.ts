import type { AnchorRecord } from '@podmesh/core';

/**
 * By so much a rescue raises the generation. Others of its cluster may have counted on without being heard, by exchanges
 * that were undone or on the other side of a cut, and would never give way to a rescue that came to the same number. It
 * also tells a rescue from a gathering, after which the others have nothing.
 */
export const RESCUE_STEP = 1_000;

/** Whether a rescue lies between: what was its own may then be more than the mesh has. */
export const isRescued = (own: AnchorRecord, record: AnchorRecord): boolean =>
  own.cluster !== record.cluster && record.generation - own.generation >= RESCUE_STEP / 2;
