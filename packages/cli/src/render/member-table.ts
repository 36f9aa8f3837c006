import type { ListedMember } from '@podmesh/core';
import { alignColumns } from './align-columns.ts';
import { durationText } from './amounts.ts';

const HEADER = ['MEMBER', 'ROLE', 'SINCE', 'LAST SEEN', 'STATE'];

/** Who is in the mesh; those who were taken out stand last. */
export function memberTable(members: readonly ListedMember[], now: Date): readonly string[] {
  if (members.length === 0)
    return ['this mesh has no members by name: everybody with its token is one'];
  const [out, into] = [members.filter(isOut), members.filter((member) => !isOut(member))];
  return alignColumns([HEADER, ...[...into, ...out].map((member) => row(member, now))]);
}

const isOut = ({ revokedAtMs }: ListedMember): boolean => revokedAtMs !== undefined;

function row({ name, role, sinceMs, seenAtMs, revokedAtMs }: ListedMember, now: Date) {
  const ago = (ms: number): string => `${durationText(now.getTime() - ms)} ago`;
  return [
    name,
    role,
    new Date(sinceMs).toISOString().slice(0, 10),
    seenAtMs === undefined ? 'never' : ago(seenAtMs),
    revokedAtMs === undefined ? 'member' : `revoked ${ago(revokedAtMs)}`,
  ];
}
