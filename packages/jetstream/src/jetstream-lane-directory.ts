import { type KV, Kvm } from '@nats-io/kv';
import type { LaneDirectory, LaneId, Requirements } from '@podmesh/core';
import { coreSubscription } from './core-subscription.ts';
import { decodeJson, encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { readStream } from './stream-reader.ts';
import {
  bucketSubjects,
  LANE_BUCKET,
  LANE_HINTS,
  LANE_STREAM,
  laneKey,
  laneOfSubject,
} from './subjects.ts';

/** Makes the queue of a lane ready. */
type OpenQueue = (lane: LaneId) => Promise<void>;

/** Lanes in a KV bucket; the queue behind a lane is ready before anybody can hear of the lane. */
export class JetStreamLaneDirectory implements LaneDirectory {
  readonly #mesh: MeshConnection;
  readonly #openQueue: OpenQueue;
  readonly #bucket: Promise<KV>;
  readonly #open = new Set<LaneId>();

  constructor(mesh: MeshConnection, openQueue: OpenQueue) {
    this.#mesh = mesh;
    this.#openQueue = openQueue;
    this.#bucket = new Kvm(mesh.js).open(LANE_BUCKET);
  }

  async open(lane: LaneId, requirements: Requirements): Promise<void> {
    if (this.#open.has(lane)) return;
    await this.#openQueue(lane);
    const bucket = await this.#bucket;
    await asking(`open lane ${lane}`, async () => {
      const known = await bucket.get(laneKey(lane));
      if (known === null) await bucket.put(laneKey(lane), encodeJson(requirements));
    });
    this.#open.add(lane);
  }

  async list(): Promise<ReadonlyMap<LaneId, Requirements>> {
    const lanes = new Map<LaneId, Requirements>();
    const filters = [bucketSubjects(LANE_BUCKET)];
    const options = { stream: LANE_STREAM, filters, after: 0, until: 'end' as const };
    for await (const batch of readStream(this.#mesh, options))
      for (const { message } of batch) {
        const lane = laneOfSubject(message.subject);
        if (message.data.length === 0) lanes.delete(lane);
        else lanes.set(lane, decodeJson<Requirements>(message.data, message.subject));
      }
    return lanes;
  }

  async *changes(signal: AbortSignal): AsyncGenerator<void> {
    for await (const _ of coreSubscription(this.#mesh, LANE_HINTS, signal)) yield;
  }
}
