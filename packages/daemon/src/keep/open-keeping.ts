import type { Clock, KeepOffering, PeerId } from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import type { Logger } from 'pino';
import { CopyBringer } from '../store/copy-bringer.ts';
import type { DiskStore } from '../store/disk-store.ts';
import type { LocalTaskFiles } from '../store/local-task-files.ts';
import { KeepOrders } from './keep-orders.ts';
import { KeepRoom, type KeepRoomParts } from './keep-room.ts';
import { Keeping } from './keeping.ts';

export interface OpenKeepingParts {
  readonly peer: PeerId;
  readonly mesh: Pick<Mesh, 'keepers' | 'runLog'>;
  readonly files: LocalTaskFiles;
  readonly store: DiskStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface OpenKeeping {
  /** What its entry in the directory tells. */
  readonly offering: KeepOffering | undefined;
  stop(): Promise<void>;
}

/** A peer's side of keeping outputs, over its own store: builds it and starts it. */
export async function openKeeping(
  { peer, mesh, files, store, clock, logger }: OpenKeepingParts,
  place: Pick<KeepRoomParts, 'host' | 'labels' | 'isAnchor'>,
): Promise<OpenKeeping> {
  const { runPins: pins, budget } = store;
  const copies = new CopyBringer({
    pins,
    sourceOf: (sizes, signal) => files.sourceOf(sizes, signal),
  });
  const release = pins.release.bind(pins);
  const orders = new KeepOrders({ copies, release, clock, logger });
  const { keepers, runLog: log } = mesh;
  const keeping = new Keeping({ peer, keepers, orders, pins, log, clock, logger });
  const room = new KeepRoom({ budget, ...place, clock, logger });
  await room.start();
  keeping.start();
  return {
    get offering() {
      return room.offering;
    },
    stop: async () => {
      await Promise.all([keeping.stop(), room.stop()]);
    },
  };
}
