import { type PeerId, type PeerOrder, type PeerOrderAnswer, peerId } from '@podmesh/core';

/** A week: whoever wants longer drains again. */
const DEADLINE_MS_MAX = 7 * 24 * 60 * 60_000;
const BY_CHARACTERS_MAX = 100;
const MESSAGE_CHARACTERS_MAX = 300;

export const encodePeerOrder = (message: PeerOrder | PeerOrderAnswer): Uint8Array =>
  Buffer.from(JSON.stringify(message));

/** Undefined for what is no order. */
export function decodePeerOrder(data: Uint8Array): PeerOrder | undefined {
  const { kind, by, deadlineMs, sleeper } = membersOf(data);
  if (typeof by !== 'string' || by === '') return undefined;
  const who = cut(by, BY_CHARACTERS_MAX);
  switch (kind) {
    case 'undrain':
      return { kind, by: who };
    case 'drain': {
      const isTime = typeof deadlineMs === 'number' && deadlineMs >= 0;
      if (!isTime || deadlineMs > DEADLINE_MS_MAX) return undefined;
      return { kind, by: who, deadlineMs };
    }
    case 'wake': {
      const peer = peerOf(sleeper);
      return peer === undefined ? undefined : { kind, by: who, sleeper: peer };
    }
    default:
      return undefined;
  }
}

/** Undefined for what is no answer; `silent` is none that anybody gives. */
export function decodePeerOrderAnswer(
  data: Uint8Array,
): Exclude<PeerOrderAnswer, { readonly kind: 'silent' }> | undefined {
  const { kind, message } = membersOf(data);
  if (kind === 'done') return { kind } as { readonly kind: 'done' };
  if (kind !== 'refused' || typeof message !== 'string') return undefined;
  return { kind, message: cut(message, MESSAGE_CHARACTERS_MAX) };
}

/** Both end up on the terminals of people: one line, without what a terminal would obey. */
const cut = (text: string, most: number): string =>
  [...text.replace(/\p{Cc}+/gu, ' ')].slice(0, most).join('');

function peerOf(value: unknown): PeerId | undefined {
  try {
    return typeof value === 'string' ? peerId(value) : undefined;
  } catch {
    return undefined;
  }
}

function membersOf(data: Uint8Array): Record<string, unknown> {
  try {
    return Object(JSON.parse(Buffer.from(data).toString('utf8')));
  } catch {
    return {};
  }
}
