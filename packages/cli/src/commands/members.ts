import type { AnchorRecord, ListedMember } from '@podmesh/core';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { openDaemonSocket } from '../home/daemon-socket.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { memberTable } from '../render/member-table.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh members`: from any machine of the mesh. */
export async function members(world: World, { options }: Invocation): Promise<ExitCode> {
  return readMesh(world, options.text('nats'), async (client) => {
    const [entered, record] = await Promise.all([client.members.list(), client.anchors.read()]);
    const listed = asTheyAre(entered, record);
    if (options.flag('json')) {
      const shown = listed.map(({ certificates: _, revoked: __, ...member }) => member);
      await printJson(world.terminal, shown);
    } else await printLines(world.terminal, memberTable(listed, world.now()));
    return EXIT.success;
  });
}

/** A peer that carries the mesh now is one of its anchors, as whatever it was invited. */
function asTheyAre(
  listed: readonly ListedMember[],
  record: AnchorRecord | undefined,
): readonly ListedMember[] {
  const carries = new Set(record?.anchors.map(({ peer }) => String(peer)));
  return listed.map((member) =>
    carries.has(member.name) && member.revokedAtMs === undefined
      ? { ...member, role: 'anchor' }
      : member,
  );
}

/** `podmesh revoke NAME|INVITATION` */
export async function revoke(
  world: World,
  { operands: [name = ''], options }: Invocation,
): Promise<ExitCode> {
  const answer = await (await openDaemonSocket(world)).post('/v1/revoke', { name });
  if (options.flag('json')) await printJson(world.terminal, answer);
  else {
    const text =
      answer.kind === 'invitation'
        ? `${name} lets nobody in any more; who came with it stays`
        : `${name} is out of the mesh`;
    const rekeyed =
      'tasks have credentials of a new key from now on: what runs goes on, and peers that are away get the key when they are back';
    await printLines(world.terminal, answer.newTaskKey === true ? [text, rekeyed] : [text]);
  }
  return EXIT.success;
}
