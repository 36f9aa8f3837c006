import { type ObjectStore, Objm } from '@nats-io/obj';
import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  EMPTY_ARTIFACT,
} from '@podmesh/core';
import { DigestStream } from './digest-stream.ts';
import { decodeJson } from './json-codec.ts';
import { keepEntry } from './keep-entry.ts';
import { lastMessages } from './last-messages.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { ArtifactCorruptError } from './mesh-errors.ts';
import { isFull, ObjectRoom } from './object-room.ts';
import { objectWriter } from './object-writer.ts';
import { asking } from './port-error.ts';
import {
  findEntry,
  hasAllChunks,
  kindMetadata,
  refOf,
  type ShelfEntry,
  sequenceBehind,
  takeBackEntry,
} from './shelf-entry.ts';
import { readStream } from './stream-reader.ts';
import {
  ARTIFACT_BUCKET,
  ARTIFACT_STREAM,
  artifactChunkSubject,
  artifactMetaSubject,
  artifactName,
} from './subjects.ts';
import { isWrongSequence } from './wrong-sequence.ts';

/** Fewer acknowledgements per byte than the default of 128 KiB, and well below the largest message. */
const CHUNK_BYTES = 512 * 1024;
const CHUNK_ANSWER_MS = 15_000;

/**
 * Artifacts in an object store bucket (ADR-20), named by their hex digest. Writing is the client's;
 * reading is ours, because the client's `get` holds whole objects in memory when the reader is
 * slow, and waits for ever when its server dies.
 */
export class JetStreamArtifactStore implements ArtifactStore {
  readonly #mesh: MeshConnection;
  readonly #bucket: Promise<ObjectStore>;
  readonly #room: ObjectRoom;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
    this.#bucket = new Objm(objectWriter(mesh)).open(ARTIFACT_BUCKET, false);
    this.#room = new ObjectRoom(mesh);
  }

  async stat(artifacts: readonly ArtifactId[]): Promise<ReadonlyMap<ArtifactId, ArtifactRef>> {
    const found = new Map<ArtifactId, ArtifactRef>();
    const asked = [...new Set(artifacts)].filter((artifact) => artifact !== EMPTY_ARTIFACT);
    if (asked.length < artifacts.length && artifacts.includes(EMPTY_ARTIFACT))
      found.set(EMPTY_ARTIFACT, { digest: EMPTY_ARTIFACT, kind: 'file', bytes: 0 });
    const subjects = asked.map(artifactMetaSubject);
    for (const { subject, data } of await lastMessages(this.#mesh, ARTIFACT_STREAM, subjects))
      keep(found, decodeJson<ShelfEntry>(data, subject));
    // A replica may not know the newest yet, and "missing" decides that a producer runs again.
    for (const artifact of asked.filter((one) => !found.has(one))) {
      const stored = await findEntry(this.#mesh, artifact);
      if (stored !== undefined) keep(found, stored.entry);
    }
    return found;
  }

  async put(
    artifact: ArtifactRef,
    bytes: AsyncIterable<Uint8Array>,
    worth?: 'spare',
  ): Promise<void> {
    if (artifact.digest === EMPTY_ARTIFACT) return;
    if (await this.#isThere(artifact.digest)) return;
    await this.#room.expect(artifact, worth);
    const bucket = await this.#bucket;
    const name = artifactName(artifact.digest);
    const meta = {
      name,
      metadata: kindMetadata(artifact.kind),
      options: { max_chunk_size: Math.min(CHUNK_BYTES, this.#mesh.messageBytesMax / 2) },
    };
    await asking(`store ${artifact.digest}`, async () => {
      try {
        const previousRevision = await sequenceBehind(this.#mesh, artifact.digest);
        const options = { timeout: CHUNK_ANSWER_MS, previousRevision };
        const stored = await bucket.put(meta, readableStream(verified(artifact, bytes)), options);
        if (await hasAllChunks(this.#mesh, stored.nuid, stored.chunks)) return;
        await takeBackEntry(this.#mesh, artifact.digest, stored);
        throw new ArtifactCorruptError(artifact.digest, 'storing them took too long; try again');
      } catch (error) {
        // Somebody else stored the same bytes meanwhile; the client has removed ours.
        if (isWrongSequence(error) && (await findEntry(this.#mesh, artifact.digest)) !== undefined)
          return;
        throw isFull(error) ? await this.#room.full(artifact, error) : error;
      }
    });
  }

  /** Whether it is there to stay: an entry that a sweep may have its eye on is written anew (core, `ArtifactShelf`). */
  async #isThere(artifact: ArtifactId): Promise<boolean> {
    const stored = await findEntry(this.#mesh, artifact);
    return stored !== undefined && (await keepEntry(this.#mesh, artifact, stored));
  }

  async *get(artifact: ArtifactId): AsyncGenerator<Uint8Array, void, undefined> {
    if (artifact === EMPTY_ARTIFACT) return;
    const stored = (await findEntry(this.#mesh, artifact))?.entry;
    if (stored === undefined) throw new ArtifactMissingError(artifact);
    const seen = new DigestStream();
    yield* seen.through(this.#chunks(stored));
    const { digest, bytes } = seen.finish();
    if (bytes < stored.size)
      throw new ArtifactCorruptError(artifact, `${bytes} of ${stored.size} bytes are there`);
    if (digest !== artifact) throw new ArtifactCorruptError(artifact, `they are ${digest}`);
  }

  async *#chunks(stored: ShelfEntry): AsyncGenerator<Uint8Array, void, undefined> {
    const options = {
      stream: ARTIFACT_STREAM,
      filters: [artifactChunkSubject(stored.nuid)],
      after: 0,
      until: 'end' as const,
    };
    for await (const batch of readStream(this.#mesh, options))
      for (const { message } of batch) yield message.data;
  }
}

function keep(found: Map<ArtifactId, ArtifactRef>, stored: ShelfEntry): void {
  if (stored.deleted === true) return;
  const ref = refOf(stored);
  found.set(ref.digest, ref);
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
