import { type PeerId, peerId } from '../words/ids.ts';

/** A peer whose nats-server keeps a copy of everything and votes. */
export interface Anchor {
  readonly peer: PeerId;
  /** Name of its nats-server; never used again for another store. */
  readonly server: string;
  /** `host:port` where clients reach it. */
  readonly client: string;
  /** `host:port` where the other servers reach it; absent of a server that is alone. */
  readonly route?: string;
}

/**
 * Which servers carry the mesh. Each change of it counts the generation up by one, and nobody ever follows a lower one
 * than it has seen: of two records the one with the higher generation is the truth.
 */
export interface AnchorRecord {
  readonly generation: number;
  /** Name of the servers' cluster; absent while one server is alone. */
  readonly cluster?: string;
  readonly anchors: readonly Anchor[];
}

/** Numbers of anchors that make sense: an even one more is one more that may be lost, and no loss more that is survived. */
export const ANCHOR_COUNTS = [1, 3, 5] as const;

const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** Undefined for what is no such record. */
export function parseAnchorRecord(said: unknown): AnchorRecord | undefined {
  const { generation, cluster, anchors } = membersOf(said);
  if (!Number.isSafeInteger(generation) || Number(generation) < 1) return undefined;
  if (cluster !== undefined && !(typeof cluster === 'string' && NAME.test(cluster)))
    return undefined;
  if (!Array.isArray(anchors) || anchors.length === 0 || anchors.length > 7) return undefined;
  const known = anchors.map(parseAnchor);
  if (!known.every((anchor) => anchor !== undefined)) return undefined;
  return {
    generation: Number(generation),
    ...(cluster === undefined ? {} : { cluster }),
    anchors: known,
  };
}

/** Undefined for what is no anchor. */
export function parseAnchor(said: unknown): Anchor | undefined {
  const { peer, server, client, route } = membersOf(said);
  if (![peer, server].every((name) => typeof name === 'string' && NAME.test(name)))
    return undefined;
  if (typeof client !== 'string' || !ADDRESS.test(client)) return undefined;
  if (route !== undefined && !(typeof route === 'string' && ADDRESS.test(route))) return undefined;
  return {
    peer: peerId(String(peer)),
    server: String(server),
    client,
    ...(route === undefined ? {} : { route }),
  };
}

const membersOf = (said: unknown): Readonly<Record<string, unknown>> => Object(said);
