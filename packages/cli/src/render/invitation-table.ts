import type { Answer } from '../home/daemon-socket.ts';
import { notUnderstood } from '../home/daemon-socket.ts';
import { alignColumns } from './align-columns.ts';
import { durationText } from './amounts.ts';

/** An invitation as the daemon lists it. */
export interface ShownInvitation {
  readonly id: string;
  readonly role: string;
  readonly name?: string;
  readonly state: string;
  readonly expiresAtMs: number;
  readonly usesMax: number;
  readonly guests: readonly { readonly name: string }[];
}

const HEADER = ['INVITATION', 'ROLE', 'FOR', 'STATE', 'USED', 'CAME'];

/** Throws a `CliError` for what is no such list. */
export function readInvitations({ invitations }: Answer): readonly ShownInvitation[] {
  if (Array.isArray(invitations)) return invitations as readonly ShownInvitation[];
  throw notUnderstood();
}

export function invitationTable(all: readonly ShownInvitation[], now: Date): readonly string[] {
  if (all.length === 0) return ['nobody is invited; to invite somebody: podmesh invite'];
  return alignColumns([HEADER, ...all.map((one) => row(one, now))]);
}

function row(one: ShownInvitation, now: Date): readonly string[] {
  const { id, role, name, state, expiresAtMs, usesMax, guests } = one;
  const left = durationText(expiresAtMs - now.getTime());
  return [
    id,
    role,
    name ?? 'anybody',
    state === 'open' ? `open for ${left}` : state,
    `${guests.length}/${usesMax}`,
    guests.map((guest) => guest.name).join(', ') || '-',
  ];
}
