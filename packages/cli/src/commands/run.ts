import {
  type Graph,
  initialRunState,
  type RunId,
  type RunPublished,
  type RunRecord,
} from '@podmesh/core';
import {
  type Client,
  type LoggedRun,
  newRunId,
  publishGraph,
  sealSecrets,
  toRecord,
} from '@podmesh/sdk';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { checkDocument } from '../document/check-document.ts';
import { pinImages } from '../document/pin-images.ts';
import { readSecrets } from '../document/publisher-secrets.ts';
import { readDocument } from '../document/read-document.ts';
import { checkArtifacts, uploadInputs } from '../document/upload-inputs.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { followRun } from '../follow/follow-run.ts';
import { JsonView, LiveView, PlainView, type RunView } from '../follow/run-view.ts';
import { TaskReports } from '../follow/task-reports.ts';
import { openClient } from '../mesh/open-client.ts';
import { printJson } from '../render/print.ts';
import { heldTasks } from '../render/run-summary.ts';
import type { World } from '../world.ts';
import { refuseRoot } from './refuse-root.ts';
import { exitCodeOf, reportEnd } from './report-end.ts';
import { keepPeer, meshForRun, tellWhereHeld } from './temporary-peer.ts';

/** `podmesh run FILE`: checks, uploads, publishes, and follows unless told not to. */
export async function run(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  refuseRoot(world, 'run', options.flag('allow-root'));
  const read = await readDocument(world, operands[0] ?? '-');
  const checked = await checkDocument(read);
  const secrets = await readSecrets(checked, { env: world.env, directory: read.directory });
  const url = await meshForRun(world, options);
  const client = await openClient(world, url);
  try {
    await checkArtifacts(checked, client.artifacts);
    const uploaded = await uploadInputs(checked, read.directory, client.artifacts);
    const graph = await pinImages(world, { client, url }, uploaded);
    const id = newRunId();
    await sealSecrets(client, id, secrets);
    const { published, driveQueued } = await publishGraph(client, graph, world.user, id);
    await world.home.rememberRun(published.run);
    await keepPeer(world, options);
    if (!driveQueued) {
      world.terminal.err('no driver could be asked for; a peer will notice the run by itself\n');
    }
    if (options.flag('detach')) return await tellId(world, options, published.run);
    return await followPublished(world, client, { published, graph, options });
  } finally {
    await client.close();
  }
}

async function tellId({ terminal }: World, options: Options, run: RunId): Promise<ExitCode> {
  if (options.flag('json')) await printJson(terminal, { run });
  else await terminal.out(`${run}\n`);
  return EXIT.success;
}

/** The last line of `--json`. */
async function tellRecord({ terminal }: World, record: RunRecord): Promise<ExitCode> {
  const { run: id, state } = record;
  await printJson(
    terminal,
    state === 'running'
      ? { kind: 'held', run: id, tasks: heldTasks(record).map(({ task }) => task), record }
      : { kind: 'ended', run: id, state, record },
  );
  return exitCodeOf(record);
}

interface Published {
  readonly published: RunPublished;
  readonly graph: Graph;
  readonly options: Options;
}

async function followPublished(
  world: World,
  client: Client,
  { published, graph, options }: Published,
): Promise<ExitCode> {
  const json = options.flag('json');
  const { run: id } = published;
  const start: LoggedRun = {
    kind: 'logged',
    run: id,
    published,
    // The server's time comes with the first fact.
    publishedAt: world.now().toISOString(),
    endedAt: undefined,
    state: initialRunState(graph),
  };
  if (!json) world.terminal.err(`run ${id}\n`);
  const interrupt = new AbortController();
  const forget = world.onInterrupt(() => interrupt.abort());
  const reports = new TaskReports();
  // Whoever looks at one line sees how far tasks are; it costs all that they print.
  if (!json && world.terminal.isLive) reports.start(client.liveLog, id);
  try {
    const ended = await followRun(client, start, viewFor(world, json, reports), interrupt.signal);
    if (ended === undefined) return tellDetached(world, id);
    const record = toRecord(ended);
    const code = json ? await tellRecord(world, record) : await reportEnd(world, client, record);
    if (code === EXIT.held) await tellWhereHeld(world, options);
    return code;
  } finally {
    await reports.stop();
    forget();
  }
}

function viewFor({ terminal }: World, json: boolean, reports: TaskReports): RunView {
  if (json) return new JsonView(terminal);
  return terminal.isLive ? new LiveView(terminal, reports) : new PlainView(terminal);
}

/** Says how to look again at a run that goes on. */
export function tellDetached({ terminal }: World, run: RunId): ExitCode {
  terminal.err(
    `\nthe run goes on; look again with: podmesh wait ${run}\nor end it with: podmesh cancel ${run}\n`,
  );
  return EXIT.detached;
}
