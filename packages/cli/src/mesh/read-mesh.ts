import { setTimeout as pause } from 'node:timers/promises';
import { PortError } from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import type { World } from '../world.ts';
import { withClient } from './open-client.ts';

/** Until every stream of servers that have just lost one of them, or found each other, has a leader again. */
const PATIENCE_MS = 60_000;
const AGAIN_MS = 500;

/**
 * `withClient` for commands that only read, and print nothing before they have read everything: they read again
 * while nobody can answer, as where anchors elect leaders, for a minute at most, and say so once.
 */
export function readMesh<T>(
  world: World,
  given: string | undefined,
  read: (client: Client) => Promise<T>,
): Promise<T> {
  return withClient(world, given, (client) => untilRead(world, () => read(client)));
}

/** The same for whoever has a client already. */
export async function untilRead<T>(world: World, read: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await read();
    } catch (error) {
      const mayPass = error instanceof PortError && error.retryable;
      if (!mayPass || performance.now() >= deadline) throw error;
      if (isFirst) world.terminal.err(`${error.message}; asking again for a minute\n`);
      await pause(AGAIN_MS);
    }
  }
}
