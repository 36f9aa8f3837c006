import { randomUUID } from 'node:crypto';
import { JetStreamApiError } from '@nats-io/jetstream';
import {
  type ArtifactId,
  type ArtifactShelf,
  EMPTY_ARTIFACT,
  type Result,
  type Sequence,
  type ShelfLook,
  type ShelvedArtifact,
  type StaleAppend,
  type SweepNote,
} from '@podmesh/core';
import { forEachBounded } from './for-each-bounded.ts';
import { decodeJson } from './json-codec.ts';
import { keepEntry } from './keep-entry.ts';
import { lastMessages } from './last-messages.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { serverTimeMs } from './server-time.ts';
import { refOf, type ShelfEntry, writeEntry } from './shelf-entry.ts';
import { noteEntry, readCondemned, readNoteEntry, writeCondemned } from './shelf-note.ts';
import { readStream } from './stream-reader.ts';
import {
  ARTIFACT_CHUNKS,
  ARTIFACT_METAS,
  ARTIFACT_STREAM,
  artifactChunkSubject,
  artifactMetaSubject,
  artifactOfName,
  isArtifactName,
  nuidOfChunkSubject,
  sweepSubject,
} from './subjects.ts';
import { isWrongSequence } from './wrong-sequence.ts';

/** Entries that are written anew at the same time. */
const KEPT_AT_ONCE = 16;
/** nats-server errors.json: there is no such message. */
const GONE_CODES: ReadonlySet<number> = new Set([10037, 10043, 10057]);

/** The object store's own entries and bytes; see the port for what may be removed when. */
export class JetStreamArtifactShelf implements ArtifactShelf {
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  async look(): Promise<ShelfLook> {
    const info = await asking('look at the object store', () =>
      this.#mesh.jsm.streams.info(ARTIFACT_STREAM),
    );
    // Afterwards: a note that is newer than that is no harm, one that is older would be.
    const note = await this.#note();
    const { max_bytes: bytesMax } = info.config;
    return {
      nowMs: serverTimeMs(info),
      lastSequence: info.state.last_seq,
      bytes: info.state.bytes,
      ...(bytesMax > 0 ? { bytesMax } : {}),
      ...(note === undefined ? {} : { note }),
    };
  }

  async *list(signal: AbortSignal): AsyncGenerator<readonly ShelvedArtifact[]> {
    const filters = [ARTIFACT_METAS];
    const options = { stream: ARTIFACT_STREAM, filters, after: 0, until: 'end' as const };
    for await (const batch of readStream(this.#mesh, options, signal))
      yield batch.flatMap(({ message, delivery }): readonly ShelvedArtifact[] => {
        const where = `${ARTIFACT_STREAM} ${delivery.streamSequence}`;
        const entry = decodeJson<ShelfEntry>(message.data, where);
        if (entry.deleted === true || !isArtifactName(entry.name)) return [];
        const { digest: artifact, kind, bytes } = refOf(entry);
        return [{ artifact, kind, bytes, sequence: delivery.streamSequence, place: entry.nuid }];
      });
    signal.throwIfAborted();
  }

  async announce(note: SweepNote, expected: Sequence): Promise<Result<Sequence, StaleAppend>> {
    try {
      const place = randomUUID().replaceAll('-', '');
      const value = await asking('announce a sweep', async () => {
        const size = await writeCondemned(this.#mesh, place, note.condemned);
        const entry = noteEntry(note, place, size);
        return await writeEntry(this.#mesh, sweepSubject, entry, expected);
      });
      return { ok: true, value };
    } catch (error) {
      if (isWrongSequence(error)) return { ok: false, error: { kind: 'stale' } };
      throw error;
    }
  }

  async remove({ artifact, sequence }: ShelvedArtifact): Promise<boolean> {
    return await asking(`remove ${artifact}`, async () => {
      try {
        return await this.#mesh.jsm.streams.deleteMessage(ARTIFACT_STREAM, sequence, false);
      } catch (error) {
        if (error instanceof JetStreamApiError && GONE_CODES.has(error.code)) return false;
        throw error;
      }
    });
  }

  async removeUnfinished(horizon: Sequence, signal: AbortSignal): Promise<number> {
    // Before the entries: an upload that ends in between has one.
    const newest = await this.#newestChunks(horizon, signal);
    for await (const batch of this.list(signal))
      for (const { place } of batch) newest.delete(place);
    newest.delete((await readNoteEntry(this.#mesh))?.place ?? '');
    for (const nuid of newest) {
      signal.throwIfAborted();
      const options = { filter: artifactChunkSubject(nuid), seq: horizon + 1 };
      await asking('remove what an upload left', () =>
        this.#mesh.jsm.streams.purge(ARTIFACT_STREAM, options),
      );
    }
    return newest.size;
  }

  async refresh(artifacts: readonly ArtifactId[]): Promise<void> {
    const horizon = (await readNoteEntry(this.#mesh))?.horizon;
    const asked = [...new Set(artifacts)].filter((artifact) => artifact !== EMPTY_ARTIFACT);
    if (horizon === undefined || asked.length === 0) return;
    // A replica that does not know the newest tells an older sequence: then once more than needed is asked to keep it.
    const known = await lastMessages(this.#mesh, ARTIFACT_STREAM, asked.map(artifactMetaSubject));
    const old = known.filter(({ sequence }) => sequence <= horizon);
    await forEachBounded(old, KEPT_AT_ONCE, async ({ subject, data, sequence }) => {
      const entry = decodeJson<ShelfEntry>(data, subject);
      if (entry.deleted === true) return;
      await keepEntry(this.#mesh, artifactOfName(entry.name), { entry, sequence });
    });
  }

  async #note(): Promise<ShelfLook['note']> {
    const entry = await readNoteEntry(this.#mesh);
    if (entry === undefined) return undefined;
    const { horizon, kept, removed, sequence, atMs } = entry;
    const condemned = await readCondemned(this.#mesh, entry);
    return { value: { horizon, condemned, kept, removed }, sequence, atMs };
  }

  /** Names of bytes of which nothing is newer than the horizon. */
  async #newestChunks(horizon: Sequence, signal: AbortSignal): Promise<Set<string>> {
    const found = new Set<string>();
    const options = {
      stream: ARTIFACT_STREAM,
      filters: [ARTIFACT_CHUNKS],
      after: 0,
      until: 'end' as const,
      lastPerSubject: true,
      headersOnly: true,
    };
    for await (const batch of readStream(this.#mesh, options, signal)) {
      for (const { message, delivery } of batch) {
        const nuid = nuidOfChunkSubject(message.subject);
        if (delivery.streamSequence <= horizon) found.add(nuid);
        else found.delete(nuid);
      }
    }
    signal.throwIfAborted();
    return found;
  }
}
