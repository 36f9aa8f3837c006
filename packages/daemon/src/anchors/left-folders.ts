import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { PeerId } from '@podmesh/core';
import type { Seat } from './seat-file.ts';

export interface LeftFoldersParts {
  /** Of all servers of this home. */
  readonly folder: string;
  readonly peer: PeerId;
  /** Undefined: no file says what this home has. */
  readonly seat: Seat | undefined;
}

/** Folders of servers of clusters, by their generation. */
const FOLDER = /^g(\d+)$/;
/** Names of such servers, wherever they stand in a seat: `<peer>-g<generation>-<random>`. */
const SERVER = /"([^"]*)-g(\d+)-[0-9a-f]+"/g;

/**
 * Generations of which a folder is here that nothing needs: the daemon was killed after the seat said so and before the folder
 * was gone. What the seat speaks of stays, by whatever name this peer goes now. Where no seat was ever written, or it was lost,
 * only a folder without a store is known to be nobody's truth.
 */
export async function leftGenerations(parts: LeftFoldersParts): Promise<readonly number[]> {
  const { folder, peer, seat } = parts;
  const names = await readdir(folder).catch(() => []);
  const found = names.flatMap((name) => FOLDER.exec(name)?.[1] ?? []).map(Number);
  if (seat !== undefined) {
    const needed = neededBy(seat, peer);
    return found.filter((generation) => !needed.has(generation));
  }
  const without = await Promise.all(
    found.map(async (generation) => {
      const store = join(folder, `g${generation}`, 'jetstream');
      return access(store).then(
        () => [],
        () => [generation],
      );
    }),
  );
  return without.flat();
}

/** Own servers; all that are named where none of them is called like this peer, which may have got another name. */
function neededBy(seat: Seat, peer: PeerId): ReadonlySet<number> {
  const named = [...JSON.stringify(seat).matchAll(SERVER)];
  const own = named.filter(([, name]) => name === peer.slice(0, 40));
  return new Set((own.length > 0 ? own : named).map(([, , generation]) => Number(generation)));
}
