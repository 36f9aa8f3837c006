import { type MeshFolder, NotAMemberError } from '@podmesh/authority';
import type { PeerId } from '@podmesh/core';
import { SeatFile } from './seat-file.ts';

/**
 * Throws a `NotAMemberError` where this home carries one of several servers by another name than it is to have now: the
 * record of the anchors, and the keys of that server, are of the old one. With the new name no server would be started
 * here, and its keys would be revoked for ever. A server that is alone, and a home that carries none, may get any name.
 */
export async function refuseOtherName(
  seatFile: string,
  folder: MeshFolder,
  peer: PeerId,
): Promise<void> {
  const member = (await folder.place())?.member;
  if (member === undefined || member === peer) return;
  const seat = await new SeatFile(seatFile).read();
  if (seat.kind === 'none') return;
  const records = [seat.record, seat.kind === 'closed' ? seat.next : undefined];
  const isAnchor = records.some(
    (record) =>
      record?.cluster !== undefined && record.anchors.some((anchor) => anchor.peer === member),
  );
  if (!isAnchor) return;
  throw new NotAMemberError(
    `this machine is the anchor ${member}, one of several that carry the mesh, and cannot be called ${peer}: nobody would ` +
      `find its server. Start it with --name ${member}`,
  );
}
