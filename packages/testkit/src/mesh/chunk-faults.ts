import type { ArtifactId, PeerId } from '@podmesh/core';
import type { Random } from '../random.ts';

/**
 * What may befall who asks a source. `dies`: half of the chunk comes, then nothing listens any more.
 * `lies`: its chunk list is of other bytes. `corrupt`: a bit of the chunk is flipped. `stalls`: no answer.
 */
export type ChunkFault = 'dies' | 'lies' | 'corrupt' | 'stalls' | 'busy';

export interface ChunkAsk {
  readonly source: PeerId;
  readonly artifact: ArtifactId;
  readonly what: 'list' | number;
}

export type ChunkFaultPlan = (ask: ChunkAsk) => ChunkFault | undefined;

/**
 * Draws faults, each with its own probability. A source that lies about an artifact always does so, and
 * always in the same way; all else is drawn anew each time.
 */
export function seededFaults(
  random: Random,
  chances: Readonly<Partial<Record<ChunkFault, number>>>,
): ChunkFaultPlan {
  return ({ source, artifact, what }) => {
    const liar = random.fork(`${source}/${artifact}`).chance(chances.lies ?? 0);
    if (what === 'list' && liar) return 'lies';
    const kinds = what === 'list' ? LIST_FAULTS : CHUNK_FAULTS;
    return kinds.find((kind) => random.chance(chances[kind] ?? 0));
  };
}

const LIST_FAULTS = ['stalls', 'busy'] as const;
const CHUNK_FAULTS = ['dies', 'corrupt', 'stalls', 'busy'] as const;
