import type { Clock, RunId, RunLog, RunSummary } from '@podmesh/core';
import type { RunOutlook } from './drive/driver.ts';

/** How often a temporary peer looks for work that is left. */
const LOOK_MS = 2_000;
/** It waits this long for its first run. */
const FIRST_RUN_MS = 60_000;
/** Its publisher may still want to read results after the end. */
const LINGER_LOOKS = 5;
/** Logs of runs that others drive are read this often, and only when nothing else is left. */
const READ_LOGS_MS = 10_000;

/** What a temporary peer knows of what is left to do. */
export interface WorkInSight {
  readonly log: Pick<RunLog, 'runs'>;
  /** Without asking anybody: of a run that is not driven here it is unknown. */
  readonly outlookOf: (run: RunId) => RunOutlook;
  /** The same from the run's log, which may be long; may throw. */
  readonly outlookInLog: (run: RunId, signal?: AbortSignal) => Promise<RunOutlook>;
}

/** Resolves when nothing was left to do for a while, and something was before. */
export async function untilIdle(
  work: WorkInSight,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const startedAtMs = clock.nowMs();
  const old = new Set((await work.log.runs().catch(() => [])).map(({ run }) => run));
  const logs = new LogReader(work, clock);
  let seen = false;
  let idleLooks = 0;
  while (!signal.aborted && idleLooks < LINGER_LOOKS) {
    await clock.sleep(LOOK_MS, signal);
    const runs = await work.log.runs().catch(() => undefined);
    if (runs === undefined) continue;
    const known = outlooksOf(runs, work);
    const outlooks = [...(known.includes('goes-on') ? known : await logs.complete(runs, signal))];
    const isLeft = outlooks.some(isLeftToUs);
    // An old one that waits for a person is not what it was started for.
    seen ||= known.includes('goes-on') || runs.some(({ run }) => !old.has(run));
    const mayCome = !seen && clock.nowMs() - startedAtMs < FIRST_RUN_MS;
    idleLooks = isLeft || mayCome ? 0 : idleLooks + 1;
  }
}

/** Whether a run is unfinished, other than for the want of a person, who may take days. */
export async function isWorkLeft(work: WorkInSight): Promise<boolean> {
  const runs = await work.log.runs();
  for (const { run } of unfinished(runs)) {
    const known = work.outlookOf(run);
    if (isLeftToUs(known === 'unknown' ? await readLog(work, run) : known)) return true;
  }
  return false;
}

/** What the logs say of runs that others drive, as it was when they were read last. */
class LogReader {
  readonly #work: WorkInSight;
  readonly #clock: Clock;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #read = new Map<RunId, RunOutlook>();

  constructor(work: WorkInSight, clock: Clock) {
    this.#work = work;
    this.#clock = clock;
  }

  /** Outlooks of all unfinished runs, with the logs' in place of the unknown. */
  async complete(runs: readonly RunSummary[], signal: AbortSignal): Promise<readonly RunOutlook[]> {
    const known = unfinished(runs).map(({ run }) => ({ run, outlook: this.#work.outlookOf(run) }));
    const unknown = known.filter(({ outlook }) => outlook === 'unknown').map(({ run }) => run);
    if (unknown.length > 0 && this.#clock.nowMs() - this.#readAtMs >= READ_LOGS_MS) {
      this.#read = new Map();
      for (const run of unknown) this.#read.set(run, await readLog(this.#work, run, signal));
      this.#readAtMs = this.#clock.nowMs();
    }
    return known.map(({ run, outlook }) =>
      outlook === 'unknown' ? (this.#read.get(run) ?? 'unknown') : outlook,
    );
  }
}

/** One whose log cannot be read now stays unknown. */
function readLog(work: WorkInSight, run: RunId, signal?: AbortSignal): Promise<RunOutlook> {
  return work.outlookInLog(run, signal).catch((): RunOutlook => 'unknown');
}

function outlooksOf(runs: readonly RunSummary[], { outlookOf }: WorkInSight): RunOutlook[] {
  return unfinished(runs).map(({ run }) => outlookOf(run));
}

function unfinished(runs: readonly RunSummary[]): readonly RunSummary[] {
  return runs.filter(({ ended }) => ended === undefined);
}

/** What another peer drives needs us as well: our server is its mesh. */
const isLeftToUs = (outlook: RunOutlook): boolean => outlook !== 'waits-for-person';
