import { type RunEnded, type RunSummary, waitsForPerson } from '@podmesh/core';
import { type Client, loadRun, toHeader } from '@podmesh/sdk';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { printJson, printLines } from '../render/print.ts';
import { type ListedRun, runTable } from '../render/run-table.ts';
import type { World } from '../world.ts';

const RUNS_SHOWN = 20;
/** Counts of unfinished runs cost reading their logs; of more than these they are left out. */
const COUNTED_MAX = 8;

/** `podmesh ps`: the runs the mesh knows, newest first. */
export async function ps(world: World, { options }: Invocation): Promise<ExitCode> {
  return readMesh(world, options.text('nats'), async (client) => {
    const all = await listRuns(client);
    if (options.flag('json')) await printJson(world.terminal, all);
    else {
      const shown = options.flag('all') ? all : all.slice(0, RUNS_SHOWN);
      const more = all.length - shown.length;
      await printLines(world.terminal, [
        ...runTable(shown, world.now()),
        ...(more > 0 ? [`and ${more} older: podmesh ps --all`] : []),
      ]);
    }
    return EXIT.success;
  });
}

async function listRuns(client: Client): Promise<readonly ListedRun[]> {
  const newestFirst = [...(await client.runLog.runs())].reverse();
  const unfinished = newestFirst.filter(({ ended }) => ended === undefined);
  const counted = new Set(unfinished.slice(0, COUNTED_MAX));
  return Promise.all(newestFirst.map((summary) => toListed(summary, client, counted.has(summary))));
}

async function toListed(
  { run, name, taskCount, publisher, publishedAt, cancelRequested, ended }: RunSummary,
  client: Client,
  isCounted: boolean,
): Promise<ListedRun> {
  const now = ended === undefined && isCounted ? await stateNow(client, run) : undefined;
  const counts = ended === undefined ? now?.counts : { ...ended.event.counts, held: 0 };
  const going = now?.isHeld === true ? 'held' : 'running';
  return {
    run,
    ...(name === undefined ? {} : { name }),
    state: ended?.event.state ?? (cancelRequested ? 'cancelling' : going),
    tasks: (ended === undefined ? now?.tasks : settledIn(ended.event)) ?? taskCount,
    ...(counts === undefined ? {} : { counts }),
    publisher,
    publishedAt,
    ...(ended === undefined ? {} : { endedAt: ended.at }),
  };
}

/** How many tasks it had in the end, those included that came while it ran; undefined where none was counted. */
function settledIn({ counts }: RunEnded): number | undefined {
  const { succeeded, failed, skipped, cancelled } = counts;
  const settled = succeeded + failed + skipped + cancelled;
  return settled === 0 ? undefined : settled;
}

interface StateNow {
  /** As many as are known now: more may come. */
  readonly tasks: number;
  readonly counts: NonNullable<ListedRun['counts']>;
  /** Whether nothing happens before a person acts. */
  readonly isHeld: boolean;
}

/** One broken run must not hide the others. */
async function stateNow(client: Client, run: RunSummary['run']): Promise<StateNow | undefined> {
  try {
    const loaded = await loadRun(client, run);
    const { tasks, ...counts } = toHeader(loaded).counts;
    if (loaded.kind === 'recorded') return { tasks, counts: { ...counts, held: 0 }, isHeld: false };
    const { state } = loaded;
    return { tasks, counts: { ...counts, held: state.held.size }, isHeld: waitsForPerson(state) };
  } catch {
    return undefined;
  }
}
