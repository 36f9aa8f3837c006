import { type ArtifactId, artifactId, type MeshReferences, type Reference } from '@podmesh/core';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { readStream } from './stream-reader.ts';
import {
  bucketSubjects,
  IMAGE_BUCKET,
  IMAGE_STREAM,
  isGraphSubject,
  OFFER_STREAM,
  OFFER_SUBJECTS,
  RESULT_BUCKET,
  RESULT_STREAM,
  RUN_STREAM,
  RUN_SUBJECTS,
} from './subjects.ts';

/** Any digest counts, wherever it stands and whatever a later version calls it: what is named stays. */
const DIGEST = /sha256:[0-9a-f]{64}(","kind":"dir")?/g;
/** Lists of elements are artifacts that name others. */
const EXPANDED = '"kind":"job-expanded"';
const PIECES = '"elements":{"kind":"artifacts"';

/**
 * What refers to artifacts, found by reading streams as text. In the order in which references move: an image or a result
 * is taken into an offer or a fact, an offer becomes a fact.
 */
export class JetStreamMeshReferences implements MeshReferences {
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  async *read(signal: AbortSignal): AsyncGenerator<readonly Reference[]> {
    // Manifests name their parts.
    const images = { stream: IMAGE_STREAM, filters: [bucketSubjects(IMAGE_BUCKET)] };
    yield* this.#named({ ...images, lastPerSubject: true }, signal, () => true);
    const results = { stream: RESULT_STREAM, filters: [bucketSubjects(RESULT_BUCKET)] };
    yield* this.#named(results, signal, () => false);
    yield* this.#inOffers(signal);
    const facts = { stream: RUN_STREAM, filters: [RUN_SUBJECTS] };
    yield* this.#named(facts, signal, (subject, text) =>
      isGraphSubject(subject) ? isGraphElsewhere(text) : isListElsewhere(text),
    );
    signal.throwIfAborted();
  }

  /** One after the other: a work queue has no readers beside those who claim. */
  async *#inOffers(signal: AbortSignal): AsyncGenerator<readonly Reference[]> {
    for (let seq = 1; ; ) {
      signal.throwIfAborted();
      const query = { seq, next_by_subj: OFFER_SUBJECTS };
      const next = await asking('read offers', () =>
        this.#mesh.jsm.streams.getMessage(OFFER_STREAM, query),
      );
      if (next === null) return;
      yield referencesIn(Buffer.from(next.data).toString('utf8'));
      seq = next.seq + 1;
    }
  }

  async *#named(
    from: {
      readonly stream: string;
      readonly filters: readonly string[];
      readonly lastPerSubject?: boolean;
    },
    signal: AbortSignal,
    holds: (subject: string, text: string) => boolean,
  ): AsyncGenerator<readonly Reference[]> {
    const options = { ...from, after: 0, until: 'end' as const };
    for await (const batch of readStream(this.#mesh, options, signal)) {
      yield batch.flatMap(({ message }) => {
        const text = Buffer.from(message.data).toString('utf8');
        return referencesIn(text, holds(message.subject, text));
      });
    }
  }
}

/** Every digest in a text; those that are told to be directories hold further ones. */
export function referencesIn(text: string, holds = false): readonly Reference[] {
  return Array.from(text.matchAll(DIGEST), ([found, isDirectory]) => ({
    artifact: digestOf(found),
    holds: holds || isDirectory !== undefined,
  }));
}

const digestOf = (found: string): ArtifactId => artifactId(found.slice(0, 'sha256:'.length + 64));

/** What an inline list names are the elements themselves, which may be large and name nothing. */
function isListElsewhere(text: string): boolean {
  return text.includes(EXPANDED) && text.includes(PIECES);
}

/** Only then: what an inline graph names are its inputs, which may be large and name nothing. */
function isGraphElsewhere(text: string): boolean {
  try {
    const { graph }: { graph?: { kind?: unknown } } = Object(JSON.parse(text));
    return graph?.kind !== 'inline';
  } catch {
    return true;
  }
}
