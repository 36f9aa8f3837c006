import {
  type ArtifactShelf,
  DigestSet,
  type Retention,
  type Sequence,
  type ShelfLook,
  type ShelvedArtifact,
  SWEEP_ENTRIES_MAX,
  SWEEP_GRACE_MS,
} from '@podmesh/core';
import { findReachable, type ReachableParts } from './find-reachable.ts';
import { forgetResults, forgetRuns } from './forget-old.ts';

export interface SweepPassParts extends ReachableParts {
  readonly shelf: ArtifactShelf;
  readonly retention: Retention;
}

export type SweepEnding =
  /** It is not time yet, or another peer was first. */
  | { readonly kind: 'nothing-to-do' }
  | {
      readonly kind: 'swept';
      readonly removed: number;
      readonly condemned: number;
      readonly kept: number;
      readonly runsForgotten: number;
      readonly resultsForgotten: number;
    };

/** Whether the grace after the last announcement is over, by the server's stamps. */
export const isDue = ({ nowMs, note }: ShelfLook): boolean =>
  note === undefined || nowMs - note.atMs >= SWEEP_GRACE_MS;

/**
 * One pass over the object store, by the rules of `ArtifactShelf`. A pass that is interrupted at any place has at most
 * removed what may go; the next one begins from the last announcement. Two at once remove the same things, and
 * only one of them announces.
 */
export async function sweepOnce(parts: SweepPassParts, signal: AbortSignal): Promise<SweepEnding> {
  const { shelf, retention } = parts;
  const seen = await shelf.look();
  if (!isDue(seen)) return { kind: 'nothing-to-do' };
  const runsForgotten = await forgetRuns(retention);
  const directories = await directoriesOn(shelf, signal);
  const reachable = await findReachable(parts, directories, signal);
  const verdict = await judge(shelf, seen, reachable, signal);
  if (seen.note !== undefined) await shelf.removeUnfinished(seen.note.value.horizon, signal);
  // Before the announcement: who finds a result after it would find what is condemned.
  const resultsForgotten = await forgetResults(retention, reachable, signal);
  const { condemned, kept, removed } = verdict;
  const note = { horizon: seen.lastSequence, condemned, kept, removed };
  const announced = await shelf.announce(note, seen.note?.sequence ?? 0);
  if (!announced.ok) return { kind: 'nothing-to-do' };
  const told = { removed, kept, condemned: condemned.length };
  return { kind: 'swept', ...told, runsForgotten, resultsForgotten };
}

async function directoriesOn(shelf: ArtifactShelf, signal: AbortSignal): Promise<DigestSet> {
  const directories = new DigestSet();
  for await (const batch of shelf.list(signal))
    for (const { artifact, kind } of batch) if (kind === 'dir') directories.add(artifact);
  return directories;
}

interface Verdict {
  readonly condemned: readonly Sequence[];
  readonly kept: number;
  readonly removed: number;
}

/** Removes what was condemned by the pass before and is unreachable still; condemns what is unreachable now. */
async function judge(
  shelf: ArtifactShelf,
  { lastSequence, note }: ShelfLook,
  reachable: DigestSet,
  signal: AbortSignal,
): Promise<Verdict> {
  const known = new Set(note?.value.condemned);
  const condemned: Sequence[] = [];
  const doomed: ShelvedArtifact[] = [];
  let kept = 0;
  for await (const batch of shelf.list(signal)) {
    for (const entry of batch) {
      if (entry.sequence > lastSequence || reachable.has(entry.artifact)) kept += 1;
      else if (known.has(entry.sequence)) doomed.push(entry);
      else if (condemned.length < SWEEP_ENTRIES_MAX) condemned.push(entry.sequence);
    }
  }
  let removed = 0;
  for (const entry of doomed) {
    signal.throwIfAborted();
    if (await shelf.remove(entry)) removed += 1;
  }
  return { condemned, kept, removed };
}
