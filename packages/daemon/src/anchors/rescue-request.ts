import { readFile, rm } from 'node:fs/promises';
import { type PeerId, peerId } from '@podmesh/core';
import type { AnchorRescue } from './anchor-rescue.ts';
import type { AnchorSeat } from './anchor-seat.ts';

const LOST_MAX = 7;

/**
 * Begins the rescue that `podmesh anchors rescue` noted in a file while no daemon ran here, which cannot come up while most
 * anchors are gone. It is asked for once: what is refused throws its sentence, and is not refused again at the next start.
 */
export async function beginNotedRescue(
  file: string,
  seat: Pick<AnchorSeat, 'seat'>,
  rescue: Pick<AnchorRescue, 'begin'>,
): Promise<void> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return;
  try {
    // It was begun already where the daemon was killed before it could say so.
    if (seat.seat.kind !== 'rescuing') await rescue.begin(parseLost(text, file));
  } finally {
    await rm(file);
  }
}

function parseLost(text: string, file: string): readonly PeerId[] {
  try {
    const { lost } = Object(JSON.parse(text));
    if (Array.isArray(lost) && lost.length > 0 && lost.length <= LOST_MAX)
      return lost.map((name) => peerId(String(name)));
  } catch {
    // Said below.
  }
  throw new Error(
    `${file} made no sense and is gone: ask again, podmesh anchors rescue --lost PEER,PEER`,
  );
}
