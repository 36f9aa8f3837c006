import { type Graph, initialRunState, type RunId } from '@podmesh/core';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { checkDocument } from '../document/check-document.ts';
import { publishGraph } from '../document/publish-graph.ts';
import { readDocument } from '../document/read-document.ts';
import { checkArtifacts, uploadInputs } from '../document/upload-inputs.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { followRun } from '../follow/follow-run.ts';
import { JsonView, LiveView, PlainView, type RunView } from '../follow/run-view.ts';
import type { Client } from '../mesh/client.ts';
import { type LoggedRun, toRecord } from '../mesh/load-run.ts';
import { meshUrl, openClient } from '../mesh/open-client.ts';
import { printJson } from '../render/print.ts';
import type { World } from '../world.ts';
import { refuseRoot } from './refuse-root.ts';
import { exitCodeOf, reportEnd } from './report-end.ts';

/** Nobody but the log knows these yet. */
const UNKNOWN = '';

/** `podmesh run FILE`: checks, uploads, publishes, and follows unless told not to. */
export async function run(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  refuseRoot(world, 'run', options.flag('allow-root'));
  const read = await readDocument(world, operands[0] ?? '-');
  const graph = await checkDocument(read);
  const client = await openClient(world, await meshForRun(world, options));
  try {
    await checkArtifacts(graph, client.artifacts);
    const uploaded = await uploadInputs(graph, read.directory, client.artifacts);
    const { run: id, driveQueued } = await publishGraph(client, uploaded, world.user);
    await world.home.rememberRun(id);
    if (!driveQueued) {
      world.terminal.err('no driver could be asked for; a peer will notice the run by itself\n');
    }
    if (options.flag('detach')) return tellId(world, options, id);
    return await followPublished(world, client, { run: id, graph: uploaded, options });
  } finally {
    await client.close();
  }
}

async function tellId(world: World, options: Options, id: RunId): Promise<ExitCode> {
  if (options.flag('json')) await printJson(world.terminal, { run: id });
  else await world.terminal.out(`${id}\n`);
  return EXIT.success;
}

/** The mesh; when there is none, that of a temporary peer on this machine. */
async function meshForRun(world: World, options: Options): Promise<string> {
  const url = await meshUrl(world, options.text('nats'));
  if (url !== undefined) return url;
  world.terminal.err('no daemon runs here: starting a temporary peer ("podmesh up" makes it last)\n');
  const words = ['--until-idle', ...(options.flag('allow-root') ? ['--allow-root'] : [])];
  try {
    return (await world.daemon.startInBackground(words)).nats;
  } catch (error) {
    // Another "podmesh run" may have been a moment faster: then its peer is as good.
    const other = await world.home.daemon();
    if (other !== undefined && error instanceof CliError) return other.nats;
    throw error;
  }
}

interface Published {
  readonly run: RunId;
  readonly graph: Graph;
  readonly options: Options;
}

async function followPublished(
  world: World,
  client: Client,
  { run: id, graph, options }: Published,
): Promise<ExitCode> {
  const json = options.flag('json');
  const start: LoggedRun = {
    kind: 'logged',
    run: id,
    published: {
      kind: 'run-published',
      run: id,
      ...(graph.name === undefined ? {} : { name: graph.name }),
      graph: { kind: 'inline', graph },
      taskCount: 0,
      publisher: world.user,
    },
    publishedAt: UNKNOWN,
    endedAt: undefined,
    state: initialRunState(graph),
  };
  if (!json) world.terminal.err(`run ${id}\n`);
  const interrupt = new AbortController();
  const forget = world.onInterrupt(() => interrupt.abort());
  try {
    const ended = await followRun(client, start, viewFor(world, json), interrupt.signal);
    if (ended === undefined) return tellDetached(world, id);
    const record = toRecord(ended);
    if (!json) return await reportEnd(world, client, record);
    await printJson(world.terminal, { kind: 'ended', run: id, state: record.state, record });
    return exitCodeOf(record);
  } finally {
    forget();
  }
}

function viewFor({ terminal }: World, json: boolean): RunView {
  if (json) return new JsonView(terminal);
  return terminal.isLive ? new LiveView(terminal) : new PlainView(terminal);
}

/** Says how to look again at a run that goes on. */
export function tellDetached({ terminal }: World, id: RunId): ExitCode {
  terminal.err(
    `\nthe run goes on; look again with: podmesh wait ${id}\nor end it with: podmesh cancel ${id}\n`,
  );
  return EXIT.detached;
}
