import type { PeerEntry } from '@podmesh/core';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { withClient } from '../mesh/open-client.ts';
import { peerTable } from '../render/peer-table.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh peers`: who is there. */
export async function peers(world: World, { options }: Invocation): Promise<ExitCode> {
  return withClient(world, options.text('nats'), async (client) => {
    const listed = await client.peers.list();
    if (options.flag('json')) await printJson(world.terminal, listed.map(withoutKey));
    else await printLines(world.terminal, peerTable(listed));
    return EXIT.success;
  });
}

/** Whoever has the key may fetch, and what a command prints ends up in logs and tickets. */
function withoutKey({ bulk, ...entry }: PeerEntry): object {
  return bulk === undefined ? entry : { ...entry, bulk: { urls: bulk.urls } };
}
