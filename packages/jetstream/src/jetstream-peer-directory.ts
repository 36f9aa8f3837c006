import { type KV, Kvm } from '@nats-io/kv';
import type { PeerDirectory, PeerEntry, PeerId } from '@podmesh/core';
import { decodeJson, encodeJson } from './json-codec.ts';
import { lastMessages } from './last-messages.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { bucketSubjects, PEER_BUCKET, PEER_STREAM, peerKey } from './subjects.ts';

/** Peers in a KV bucket whose entries the server removes after `PEER_TTL_MS`. */
export class JetStreamPeerDirectory implements PeerDirectory {
  readonly #mesh: MeshConnection;
  readonly #bucket: Promise<KV>;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
    this.#bucket = new Kvm(mesh.js).open(PEER_BUCKET);
  }

  async announce(entry: PeerEntry): Promise<void> {
    const bucket = await this.#bucket;
    await asking('announce this peer', () => bucket.put(peerKey(entry.peer), encodeJson(entry)));
  }

  async withdraw(peer: PeerId): Promise<void> {
    const bucket = await this.#bucket;
    await asking(`withdraw peer ${peer}`, () => bucket.delete(peerKey(peer)));
  }

  /** Read by the leader: who asks for one peer decides something. */
  async find(peer: PeerId): Promise<PeerEntry | undefined> {
    const bucket = await this.#bucket;
    const entry = await asking(`find peer ${peer}`, () => bucket.get(peerKey(peer)));
    if (entry === null || entry.operation !== 'PUT') return undefined;
    return decodeJson<PeerEntry>(entry.value, `peer ${peer}`);
  }

  async list(): Promise<readonly PeerEntry[]> {
    const entries = await lastMessages(this.#mesh, PEER_STREAM, [bucketSubjects(PEER_BUCKET)]);
    return entries.map(({ subject, data, atMs }) => ({
      ...decodeJson<PeerEntry>(data, subject),
      heardAtMs: atMs,
    }));
  }
}
