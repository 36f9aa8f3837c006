import { JetStreamApiError } from '@nats-io/jetstream';
import { type ObjectInfo, type ObjectStore, Objm } from '@nats-io/obj';
import {
  type ArtifactId,
  type ArtifactKind,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  EMPTY_ARTIFACT,
} from '@podmesh/core';
import { DigestStream } from './digest-stream.ts';
import { decodeJson } from './json-codec.ts';
import { lastMessages } from './last-messages.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { ArtifactCorruptError } from './mesh-errors.ts';
import { objectWriter } from './object-writer.ts';
import { asking } from './port-error.ts';
import { readStream } from './stream-reader.ts';
import {
  ARTIFACT_BUCKET,
  ARTIFACT_STREAM,
  artifactChunkSubject,
  artifactMetaSubject,
  artifactName,
  artifactOfName,
} from './subjects.ts';

/** Fewer acknowledgements per byte than the default of 128 KiB, and well below the largest message. */
const CHUNK_BYTES = 512 * 1024;
const CHUNK_ANSWER_MS = 15_000;
const KIND = 'podmesh-kind';
const WRONG_LAST_SEQUENCE = 10071;

type Stored = Pick<ObjectInfo, 'name' | 'size' | 'nuid' | 'deleted' | 'metadata'>;

/**
 * Artifacts in an object store bucket (ADR-20), named by their hex digest. Writing is the client's;
 * reading is ours, because the client's `get` holds whole objects in memory when the reader is
 * slow, and waits for ever when its server dies.
 */
export class JetStreamArtifactStore implements ArtifactStore {
  readonly #mesh: MeshConnection;
  readonly #bucket: Promise<ObjectStore>;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
    this.#bucket = new Objm(objectWriter(mesh)).open(ARTIFACT_BUCKET, false);
  }

  async stat(artifacts: readonly ArtifactId[]): Promise<ReadonlyMap<ArtifactId, ArtifactRef>> {
    const found = new Map<ArtifactId, ArtifactRef>();
    const asked = [...new Set(artifacts)].filter((artifact) => artifact !== EMPTY_ARTIFACT);
    if (asked.length < artifacts.length && artifacts.includes(EMPTY_ARTIFACT))
      found.set(EMPTY_ARTIFACT, { digest: EMPTY_ARTIFACT, kind: 'file', bytes: 0 });
    const subjects = asked.map(artifactMetaSubject);
    for (const { subject, data } of await lastMessages(this.#mesh, ARTIFACT_STREAM, subjects))
      keep(found, decodeJson<Stored>(data, subject));
    // A replica may not know the newest yet, and "missing" decides that a producer runs again.
    for (const artifact of asked.filter((one) => !found.has(one))) {
      const stored = await this.#stored(artifact);
      if (stored !== undefined) keep(found, stored);
    }
    return found;
  }

  async put(artifact: ArtifactRef, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    if (artifact.digest === EMPTY_ARTIFACT) return;
    if ((await this.#stored(artifact.digest)) !== undefined) return;
    const bucket = await this.#bucket;
    const name = artifactName(artifact.digest);
    const meta = {
      name,
      metadata: { [KIND]: artifact.kind },
      options: { max_chunk_size: Math.min(CHUNK_BYTES, this.#mesh.messageBytesMax / 2) },
    };
    await asking(`store ${artifact.digest}`, async () => {
      try {
        const options = { timeout: CHUNK_ANSWER_MS, previousRevision: 0 };
        await bucket.put(meta, readableStream(verified(artifact, bytes)), options);
      } catch (error) {
        // Somebody else stored the same bytes meanwhile; the client has removed ours.
        const raced = error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE;
        if (!raced || (await this.#stored(artifact.digest)) === undefined) throw error;
      }
    });
  }

  async *get(artifact: ArtifactId): AsyncGenerator<Uint8Array, void, undefined> {
    if (artifact === EMPTY_ARTIFACT) return;
    const stored = await this.#stored(artifact);
    if (stored === undefined) throw new ArtifactMissingError(artifact);
    const seen = new DigestStream();
    yield* seen.through(this.#chunks(stored));
    const { digest, bytes } = seen.finish();
    if (bytes < stored.size)
      throw new ArtifactCorruptError(artifact, `${bytes} of ${stored.size} bytes are there`);
    if (digest !== artifact) throw new ArtifactCorruptError(artifact, `they are ${digest}`);
  }

  async *#chunks(stored: Stored): AsyncGenerator<Uint8Array, void, undefined> {
    const options = {
      stream: ARTIFACT_STREAM,
      filters: [artifactChunkSubject(stored.nuid)],
      after: 0,
      until: 'end' as const,
    };
    for await (const batch of readStream(this.#mesh, options))
      for (const { message } of batch) yield message.data;
  }

  /** Read by the leader. */
  async #stored(artifact: ArtifactId): Promise<Stored | undefined> {
    const query = { last_by_subj: artifactMetaSubject(artifact) };
    const last = await asking(`look for ${artifact}`, () =>
      this.#mesh.jsm.streams.getMessage(ARTIFACT_STREAM, query),
    );
    if (last === null) return undefined;
    const stored = decodeJson<Stored>(last.data, `${ARTIFACT_STREAM} ${last.seq}`);
    return stored.deleted ? undefined : stored;
  }
}

function keep(found: Map<ArtifactId, ArtifactRef>, stored: Stored): void {
  if (stored.deleted) return;
  const digest = artifactOfName(stored.name);
  const kind: ArtifactKind = stored.metadata?.[KIND] === 'dir' ? 'dir' : 'file';
  found.set(digest, { digest, kind, bytes: stored.size });
}

/** The bytes, ending in an error if they are not what they are called: then nothing is stored. */
async function* verified(
  artifact: ArtifactRef,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const seen = new DigestStream();
  yield* seen.through(bytes);
  const { digest, bytes: length } = seen.finish();
  if (digest !== artifact.digest || length !== artifact.bytes)
    throw new ArtifactCorruptError(artifact.digest, `they are ${length} bytes with ${digest}`);
}

/** Pulled, not pushed: at most one chunk of the source is in memory. */
function readableStream(
  source: AsyncGenerator<Uint8Array, void, undefined>,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const step = await source.next();
        if (step.done === true) controller.close();
        else if (step.value.length > 0) controller.enqueue(step.value);
        else await this.pull?.(controller);
      },
      async cancel() {
        await source.return();
      },
    },
    { highWaterMark: 0 },
  );
}
