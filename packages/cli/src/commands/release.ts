import type { RunId, TaskId } from '@podmesh/core';
import { type Client, type LoadedRun, type LoggedRun, loadRun } from '@podmesh/sdk';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { parseRunTarget, parseTask } from '../arguments/parse-target.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { findRun } from '../mesh/find-run.ts';
import { withClient } from '../mesh/open-client.ts';
import { selectTasks } from '../mesh/select-tasks.ts';
import { countText } from '../render/amounts.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';
import { keepPeer } from './temporary-peer.ts';

/** Somebody may write first, which is seen when the log is read again; not for ever. */
const ROUNDS_MAX = 5;
const APPENDS_AT_ONCE = 64;
const NAMED_MAX = 10;

/** `podmesh release RUN [TASK]...`: held tasks may be tried again. */
export async function release(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const [first = '', ...others] = operands;
  const { run: named, task } = parseRunTarget(first);
  const tasks = [...(task === undefined ? [] : [task]), ...others.map(parseTask)];
  return withClient(world, options.text('nats'), async (client) => {
    const loaded = await loadRun(client, await findRun(client, world.home, named));
    const { run, held } = chooseHeld(loaded, tasks);
    const released = await releaseAll(client, { loaded: run, held, by: world.user });
    // Nobody would go on with it where a temporary peer has left meanwhile.
    await keepPeer(world, options);
    if (options.flag('json')) await printJson(world.terminal, { run: loaded.run, ...released });
    else await printLines(world.terminal, releasedText(loaded.run, released));
    return EXIT.success;
  });
}

interface Released {
  readonly released: readonly TaskId[];
  /** Somebody else was faster. */
  readonly alreadyReleased: readonly TaskId[];
}

/** Task numbers of what is to be released, at least one. Throws a `CliError` when a name means nothing that is held. */
function chooseHeld(
  loaded: LoadedRun,
  named: readonly TaskId[],
): { readonly run: LoggedRun; readonly held: readonly number[] } {
  const { run } = loaded;
  const ended = loaded.kind === 'logged' ? loaded.state.ended?.state : loaded.record.state;
  if (loaded.kind === 'recorded' || ended !== undefined) {
    throw notHeld(`run ${run} has already ended: ${ended}`, `See: podmesh show ${run}`);
  }
  const { state } = loaded;
  if (state.cancelRequested) {
    throw notHeld(`run ${run} was cancelled: nothing of it is held`, `See: podmesh show ${run}`);
  }
  if (named.length === 0) {
    if (state.held.size > 0) return { run: loaded, held: [...state.held] };
    throw notHeld(`no task of run ${run} is held`, `What it does: podmesh explain ${run}`);
  }
  const held = new Set(named.flatMap((task) => heldOf(loaded, task)));
  return { run: loaded, held: [...held] };
}

/** The held ones among the tasks that a name means. */
function heldOf(loaded: LoggedRun, named: TaskId): readonly number[] {
  const { run, state } = loaded;
  const meant = selectTasks(loaded, named);
  const held = meant.filter((task) => state.held.has(task));
  if (held.length > 0) return held;
  const [only = 0] = meant;
  const what =
    meant.length === 1
      ? `${named} is ${state.tasks[only]?.kind ?? 'unknown'}, not held`
      : `none of the ${countText(meant.length, 'task')} of ${named} is held`;
  throw notHeld(what, `What it does: podmesh explain ${run}/${named}`);
}

function notHeld(message: string, advice: string): CliError {
  return new CliError('not-available', message, { advice });
}

interface Wish {
  readonly loaded: LoggedRun;
  readonly held: readonly number[];
  readonly by: string;
}

/** Until all are released by us or others. Throws a `CliError` when the run was cancelled meanwhile. */
async function releaseAll(client: Client, { loaded, held, by }: Wish): Promise<Released> {
  const { run, state: first } = loaded;
  const idOf = (task: number): TaskId => first.index.idOf(task);
  const alreadyReleased: TaskId[] = [];
  let state = first;
  let left = held;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const stale = await appendReleases(client, { loaded: { ...loaded, state }, held: left, by });
    const isOver = await client.runLog.isOver(run);
    const again = stale.length > 0 || isOver ? await loadRun(client, run) : undefined;
    if (again !== undefined && isCancelled(again)) throw cancelledMeanwhile(run, held.map(idOf));
    const stillHeld = again?.kind === 'logged' ? again.state.held : new Set<number>();
    alreadyReleased.push(...stale.filter((task) => !stillHeld.has(task)).map(idOf));
    left = stale.filter((task) => stillHeld.has(task));
    if (left.length === 0) {
      const released = held.map(idOf).filter((task) => !alreadyReleased.includes(task));
      return { released, alreadyReleased };
    }
    if (again?.kind === 'logged') ({ state } = again);
  }
  throw notHeld(
    `${listed(left.map(idOf))}: held again each time somebody released it`,
    `See what happens: podmesh explain ${run}`,
  );
}

function isCancelled(loaded: LoadedRun): boolean {
  return loaded.kind === 'logged'
    ? loaded.state.cancelRequested
    : loaded.record.state === 'cancelled';
}

/** Appends behind what each held task was last seen at; those about which somebody wrote meanwhile. */
async function appendReleases(
  client: Client,
  { loaded: { run, state }, held, by }: Wish,
): Promise<readonly number[]> {
  const stale: number[] = [];
  for (let from = 0; from < held.length; from += APPENDS_AT_ONCE) {
    await Promise.all(
      held.slice(from, from + APPENDS_AT_ONCE).map(async (task) => {
        const now = state.tasks[task];
        if (now?.kind !== 'held') return;
        const event = { kind: 'task-released', run, task: state.index.idOf(task), by } as const;
        if (!(await client.runLog.append(event, now.sequence)).ok) stale.push(task);
      }),
    );
  }
  return stale;
}

function cancelledMeanwhile(run: RunId, tasks: readonly TaskId[]): CliError {
  return notHeld(
    `run ${run} was cancelled meanwhile: it is too late to release ${listed(tasks)}`,
    `See: podmesh show ${run}`,
  );
}

function releasedText(run: RunId, { released, alreadyReleased }: Released): readonly string[] {
  return [
    ...(released.length === 0 ? [] : [`released: ${listed(released)}`]),
    ...(alreadyReleased.length === 0
      ? []
      : [`somebody else had just released: ${listed(alreadyReleased)}`]),
    `see how it goes: podmesh wait ${run}`,
  ];
}

function listed(tasks: readonly TaskId[]): string {
  const more = tasks.length - NAMED_MAX;
  return `${tasks.slice(0, NAMED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
