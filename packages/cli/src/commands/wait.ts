import { type Client, loadRun, toRecord } from '@podmesh/sdk';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { parseRun } from '../arguments/parse-target.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { followRun } from '../follow/follow-run.ts';
import { LiveView, QuietView } from '../follow/run-view.ts';
import { findRun } from '../mesh/find-run.ts';
import { withClient } from '../mesh/open-client.ts';
import { printJson } from '../render/print.ts';
import type { World } from '../world.ts';
import { exitCodeOf, reportEnd } from './report-end.ts';
import { tellDetached } from './run.ts';
import { tellWhereHeld } from './temporary-peer.ts';

/** `podmesh wait RUN`: returns at the end of the run, or when it waits for a person, like `podmesh run`. */
export async function wait(world: World, invocation: Invocation): Promise<ExitCode> {
  const named = parseRun(invocation.operands[0] ?? '');
  const { options } = invocation;
  const mesh = { url: options.text('nats'), isFollowed: true };
  return withClient(world, mesh, async (client) => {
    const code = await waitFor(world, client, { named, json: options.flag('json') });
    if (code === EXIT.held) await tellWhereHeld(world, options);
    return code;
  });
}

async function waitFor(
  world: World,
  client: Client,
  { named, json }: { readonly named: string; readonly json: boolean },
): Promise<ExitCode> {
  const { terminal } = world;
  const run = await findRun(client, world.home, named);
  const loaded = await loadRun(client, run);
  const view = terminal.isLive && !json ? new LiveView(terminal) : new QuietView(terminal);
  const interrupt = new AbortController();
  const forget = world.onInterrupt(() => interrupt.abort());
  try {
    const ended =
      loaded.kind === 'recorded' ? loaded : await followRun(client, loaded, view, interrupt.signal);
    if (ended === undefined) return tellDetached(world, run);
    const record = toRecord(ended);
    if (!json) return await reportEnd(world, client, record);
    await printJson(terminal, record);
    return exitCodeOf(record);
  } finally {
    forget();
  }
}
