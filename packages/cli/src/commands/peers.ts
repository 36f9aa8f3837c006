import type { PeerEntry } from '@podmesh/core';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { peerTable } from '../render/peer-table.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh peers`: who is there, and who sleeps. */
export async function peers(world: World, { options }: Invocation): Promise<ExitCode> {
  return readMesh(world, options.text('nats'), async (client) => {
    const [listed, noted] = await Promise.all([client.peers.list(), client.sleepers.list()]);
    const awake = new Set(listed.map(({ peer }) => peer));
    const asleep = noted.flatMap(({ sleeper }) => (awake.has(sleeper.peer) ? [] : [sleeper]));
    if (options.flag('json')) {
      const told = asleep.map(({ peer, ...rest }) => ({ peer, asleep: rest }));
      await printJson(world.terminal, [...listed.map(withoutKey), ...told]);
    } else await printLines(world.terminal, peerTable(listed, asleep));
    return EXIT.success;
  });
}

/** Whoever has the key may fetch, and what a command prints ends up in logs and tickets. */
function withoutKey({ bulk, ...entry }: PeerEntry): object {
  return bulk === undefined ? entry : { ...entry, bulk: { urls: bulk.urls } };
}
