import {
  type AnchorProposal,
  type AnchorRecord,
  candidateOf,
  type GreetedServer,
  type PeerId,
  proposeAnchors,
  survivalOf,
} from '@podmesh/core';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { greetAnchors, heardAnchors } from '../mesh/greet-anchors.ts';
import { meshUrl, withClient } from '../mesh/open-client.ts';
import { untilRead } from '../mesh/read-mesh.ts';
import { alignColumns } from '../render/align-columns.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh anchors`; of a mesh that does not answer as far as this home heard of it, before the error. */
export async function showAnchors(
  world: World,
  given: string | undefined,
  json: boolean,
): Promise<ExitCode> {
  const url = (await meshUrl(world, given)) ?? '';
  try {
    return await withClient(world, given, async (client) => {
      const record = await untilRead(world, () => client.anchors.read());
      const peers = await untilRead(world, () => client.peers.list());
      const greeted = await greetAnchors(world, record, url);
      const now = record?.anchors.map(({ peer }) => peer) ?? [];
      const proposal = proposeAnchors(peers.map((entry) => candidateOf(entry, now)));
      if (json) await printJson(world.terminal, { record, greeted, proposal });
      else await printLines(world.terminal, anchorLines(greeted, record, proposal));
      return EXIT.success;
    });
  } catch (error) {
    if (!json && url !== '') await printLines(world.terminal, await unheardLines(world, url));
    throw error;
  }
}

/** Of a mesh that does not answer: which of the servers that this home heard of do, and what helps. */
async function unheardLines(world: World, url: string): Promise<readonly string[]> {
  const record = await heardAnchors(url).catch(() => undefined);
  if (record === undefined) return [];
  const greeted = await greetAnchors(world, record, url);
  return [...serverTable(greeted, record), ...survivalLines(greeted)];
}

/** What carries the mesh, what that survives, and whom to take, with the reasons. */
function anchorLines(
  greeted: readonly GreetedServer[],
  record: AnchorRecord | undefined,
  { anchors: proposed, opinions }: AnchorProposal,
): readonly string[] {
  const table = serverTable(greeted, record);
  if (record === undefined) {
    const { found } = survivalOf(greeted.length, silentOf(greeted), false);
    return [...table, found, 'people look after these servers'];
  }
  const now = record.anchors.map(({ peer }) => peer);
  const isSame = [...now].sort().join() === [...proposed].sort().join();
  const reasons = opinions.map(
    ({ peer, chosen, reason }) => `  ${chosen ? 'yes' : 'no '}  ${peer}: ${reason}`,
  );
  return [...table, ...survivalLines(greeted), verdictOn(record, isSame, proposed), ...reasons];
}

function serverTable(
  greeted: readonly GreetedServer[],
  record: AnchorRecord | undefined,
): readonly string[] {
  const addresses = new Map(record?.anchors.map(({ peer, client }) => [String(peer), client]));
  return alignColumns([
    ['ANCHOR', 'ADDRESS', 'NATS-SERVER'],
    ...greeted.map(({ name, version }) => [
      name,
      addresses.get(name) ?? name,
      version ?? 'does not answer',
    ]),
  ]);
}

const silentOf = (greeted: readonly GreetedServer[]): readonly string[] =>
  greeted.filter(({ version }) => version === undefined).map(({ name }) => name);

/** The repair of what is wrong stands under it; that of one server alone is the proposal. */
function survivalLines(greeted: readonly GreetedServer[]): readonly string[] {
  const silent = silentOf(greeted);
  const { found, repair = '' } = survivalOf(greeted.length, silent);
  return silent.length === 0 ? [found] : [found, ...repair.split('\n')];
}

/** Fewer are taken only when somebody asks for it: each of them is a copy of everything. */
function verdictOn(record: AnchorRecord, isSame: boolean, proposed: readonly PeerId[]): string {
  if (isSame) return 'nobody better is there:';
  if (proposed.length >= record.anchors.length)
    return `proposed: podmesh anchors set ${proposed.join(' ')}`;
  return 'fewer than three machines are steady; those that are anchors stay it:';
}
