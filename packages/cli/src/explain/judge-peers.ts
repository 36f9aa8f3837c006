import {
  fits,
  type JobId,
  type PeerEntry,
  type PeerId,
  type Ration,
  type Requirements,
  type RunId,
  type Shortfall,
  satisfies,
  shortfallText,
} from '@podmesh/core';

/** How one peer stands to a task. */
export interface PeerVerdict {
  readonly peer: PeerId;
  /**
   * `free`: could start it now. `busy`: could, when less is running. `leaving`: leaves its job to others,
   * and tries it now and then. `paused`: claims nothing. `unsuitable`: never.
   */
  readonly verdict: 'free' | 'busy' | 'leaving' | 'paused' | 'unsuitable';
  /** Why it leaves it, or is paused, or what it lacks. */
  readonly because: readonly string[];
}

/** What peers are asked to run: a task of this job that needs so much. */
export interface JudgedTask {
  readonly run: RunId;
  readonly job: JobId;
  readonly requirements: Requirements;
}

/** Peers by how near they are to running such a task; the nearest first. */
export function judgePeers(task: JudgedTask, peers: readonly PeerEntry[]): readonly PeerVerdict[] {
  const judged = peers.map((entry) => {
    const shortfalls = satisfies(task.requirements, toOffering(entry));
    return { verdict: verdictOn(task, entry, shortfalls), gap: gapOf(shortfalls) };
  });
  const nearest = judged.sort(
    (a, b) =>
      ORDER.indexOf(a.verdict.verdict) - ORDER.indexOf(b.verdict.verdict) ||
      a.gap - b.gap ||
      (a.verdict.peer < b.verdict.peer ? -1 : 1),
  );
  return nearest.map(({ verdict }) => verdict);
}

const ORDER: readonly PeerVerdict['verdict'][] = [
  'free',
  'busy',
  'leaving',
  'paused',
  'unsuitable',
];

function toOffering({ capacity, machine, labels, runtimes }: PeerEntry) {
  return { capacity, arch: machine.arch, labels, runtimes };
}

function verdictOn(
  task: JudgedTask,
  entry: PeerEntry,
  shortfalls: readonly Shortfall[],
): PeerVerdict {
  const { peer, free, paused } = entry;
  const { lowered } = entry;
  if (shortfalls.length > 0 && lowered !== undefined) {
    const full = { ...toOffering(entry), capacity: lowered.full };
    if (satisfies(task.requirements, full).length === 0)
      return { peer, verdict: 'paused', because: [`too little of it for this: ${lowered.reason}`] };
  }
  if (shortfalls.length > 0) {
    return { peer, verdict: 'unsuitable', because: shortfalls.map(shortfallText) };
  }
  if (paused !== undefined) return { peer, verdict: 'paused', because: [paused] };
  const ration = rationOf(entry, task);
  if (ration !== undefined) return { peer, verdict: 'leaving', because: [ration.reason] };
  return { peer, verdict: fits(task.requirements, free) ? 'free' : 'busy', because: [] };
}

/** Whether, and why, the peer leaves that job of the run to others. */
function rationOf(
  { rations = [] }: PeerEntry,
  { run, job }: Pick<JudgedTask, 'run' | 'job'>,
): Ration | undefined {
  return rations.find((ration) => ration.run === run && ration.job === job);
}

/** What a peer either has or has not is farther away than any amount. */
const KIND_GAP = 1_000;

/** How much is missing: for amounts, how many times over; never less for more that is missing. */
function gapOf(shortfalls: readonly Shortfall[]): number {
  return shortfalls.reduce((gap, shortfall) => {
    const { kind } = shortfall;
    if (kind === 'arch' || kind === 'label' || kind === 'runtime') return gap + KIND_GAP;
    const times = shortfall.offered > 0 ? shortfall.needed / shortfall.offered : KIND_GAP;
    return gap + Math.min(times, KIND_GAP);
  }, 0);
}
