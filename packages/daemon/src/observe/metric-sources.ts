import type { Capacity } from '@podmesh/core';
import type { LeaseCounts, QueueDepths } from '@podmesh/jetstream';
import type { Circuit } from '../claim/circuit.ts';
import type { MovedBytes } from '../transfer/moved-bytes.ts';

/** What a peer has in hand at this moment. */
export interface PeerLoad {
  readonly claims: number;
  readonly containers: number;
  readonly driving: number;
  readonly isClaiming: boolean;
  readonly circuit: Circuit['kind'];
  /** Lanes that suit this machine; `waiting`: an offer would come at once. */
  readonly lanes: { readonly waiting: number; readonly idle: number };
  readonly capacity: Capacity;
  readonly free: Capacity;
}

/** Where metrics are read when somebody asks for them. */
export interface MetricSources {
  readonly version: string;
  readonly load: () => PeerLoad;
  readonly queues: () => Promise<QueueDepths>;
  readonly leases: () => LeaseCounts;
  readonly moved: () => Pick<MovedBytes, 'received' | 'served'>;
  readonly storeBytes: () => number;
  readonly freeDiskBytes: () => Promise<number>;
  readonly connection: () => { readonly isConnected: boolean; readonly reconnects: number };
}
