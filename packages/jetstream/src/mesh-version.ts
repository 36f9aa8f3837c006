import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream';
import {
  areCompatible,
  MINORS_APART_MAX,
  minorsAhead,
  type PeerId,
  parseRelease,
} from '@podmesh/core';
import { JetStreamPeerDirectory } from './jetstream-peer-directory.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { MeshTooNewError, UnlikePeersError } from './mesh-errors.ts';
import { PEER_STREAM, RUN_STREAM } from './subjects.ts';
import { untilAnswered } from './until-answered.ts';

/** In the metadata of the run log, the stream that is the truth: of the newest program that has written to the mesh. */
const VERSION_KEY = 'podmesh.version';
const STREAM_NOT_FOUND = 10059;
/** Two programs that start at once may write over each other's note. */
const TRIES_MAX = 5;
/** Peers named in a refusal. */
const TOLD_MAX = 5;

/** Undefined: there is no mesh there, or one of before versions were noted. */
export async function meshVersion(jsm: JetStreamManager): Promise<string | undefined> {
  return (await metadataOf(jsm, RUN_STREAM))?.[VERSION_KEY];
}

/**
 * Throws `UnlikePeersError` when peers other than `own` are at work whose version is too far from this one: what
 * it writes they would misread. To be called before anything is written.
 */
export async function refuseUnlikePeers(
  mesh: MeshConnection,
  own: PeerId,
  version: string,
): Promise<void> {
  if ((await metadataOf(mesh.jsm, PEER_STREAM)) === undefined) return;
  const unlike = (await new JetStreamPeerDirectory(mesh).list())
    .filter((entry) => entry.peer !== own && !areCompatible(entry.version, version))
    .map((entry) => `${entry.peer} has ${entry.version}`);
  if (unlike.length > 0) throw new UnlikePeersError(unlike.slice(0, TOLD_MAX), version);
}

/** Undefined where there is no such stream. */
async function metadataOf(
  jsm: JetStreamManager,
  stream: string,
): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    const info = await untilAnswered(`ask for ${stream}`, () => jsm.streams.info(stream));
    return info.config.metadata ?? {};
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

/** Throws `MeshTooNewError` of a mesh that this version could damage, or whose version nobody can read. */
export async function refuseOtherMesh(jsm: JetStreamManager, version: string): Promise<void> {
  const found = await meshVersion(jsm);
  if (found !== undefined && aheadOf(found, version) > MINORS_APART_MAX)
    throw new MeshTooNewError(found, version);
}

/** Afterwards the mesh's version is at least ours, if we may change it; it never goes back. */
export async function noteMeshVersion(jsm: JetStreamManager, version: string): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const found = await meshVersion(jsm);
    if (found !== undefined && aheadOf(version, found) <= 0) return;
    const { config } = await jsm.streams.info(RUN_STREAM);
    const metadata = { ...config.metadata, [VERSION_KEY]: version };
    try {
      await jsm.streams.update(RUN_STREAM, { metadata });
    } catch {
      // Who may not change streams leaves that to others; peers that are at work tell their versions anyway.
      return;
    }
  }
}

/** In minor versions; what is no version is ahead of all that are. */
function aheadOf(one: string, other: string): number {
  const [left, right] = [parseRelease(one), parseRelease(other)];
  if (left === undefined) return Number.POSITIVE_INFINITY;
  return right === undefined ? Number.NEGATIVE_INFINITY : minorsAhead(left, right);
}
