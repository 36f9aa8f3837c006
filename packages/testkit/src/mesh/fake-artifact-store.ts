import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  EMPTY_ARTIFACT,
  ObjectStoreFullError,
  PortError,
  type ShelfLook,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

/** Bytes of one piece of an answer. */
const CHUNK_BYTES = 64 * 1024;

/** Artifacts that the mesh holds, and where in their stream each of them is. */
export class ArtifactServer extends Map<ArtifactId, StoredArtifact> {
  readonly nowMs: () => number;
  note: ShelfLook['note'];
  lastSequence = 0;
  /** Larger ones are refused: it is nearly full. */
  takesBytesMax = Number.POSITIVE_INFINITY;
  /** The same for what others can get elsewhere as well. */
  takesSpareBytesMax = Number.POSITIVE_INFINITY;
  private readonly sequences = new Map<ArtifactId, number>();

  constructor(nowMs: () => number) {
    super();
    this.nowMs = nowMs;
  }

  sequenceOf(artifact: ArtifactId): number {
    return this.sequences.get(artifact) ?? 0;
  }

  nextSequence(): number {
    this.lastSequence += 1;
    return this.lastSequence;
  }

  override set(artifact: ArtifactId, stored: StoredArtifact): this {
    this.sequences.set(artifact, this.nextSequence());
    return super.set(artifact, stored);
  }

  /** What every put does of something that is there (core, `ArtifactShelf`); false: it is not. */
  keep(artifact: ArtifactId): boolean {
    const stored = this.get(artifact);
    const horizon = this.note?.value.horizon ?? 0;
    if (stored !== undefined && this.sequenceOf(artifact) <= horizon) this.set(artifact, stored);
    return stored !== undefined;
  }
}

export interface StoredArtifact {
  readonly ref: ArtifactRef;
  /** May differ from the digest: a test corrupted it. */
  readonly bytes: Uint8Array;
}

/** The artifacts of the mesh as one process sees them. */
export class FakeArtifactStore implements ArtifactStore {
  private readonly process: FakeProcess;
  private readonly server: ArtifactServer;

  constructor(process: FakeProcess, server: ArtifactServer) {
    this.process = process;
    this.server = server;
  }

  stat(artifacts: readonly ArtifactId[]): Promise<ReadonlyMap<ArtifactId, ArtifactRef>> {
    return this.process.call(`artifacts.stat ${artifacts.length}`, () => {
      const found = new Map<ArtifactId, ArtifactRef>();
      for (const artifact of artifacts) {
        const ref = this.refOf(artifact);
        if (ref !== undefined) found.set(artifact, ref);
      }
      return found;
    });
  }

  async put(
    artifact: ArtifactRef,
    bytes: AsyncIterable<Uint8Array>,
    worth?: 'spare',
  ): Promise<void> {
    const { digest: named } = artifact;
    if (await this.process.call(`artifacts.keep ${named}`, () => this.server.keep(named))) return;
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytes) chunks.push(chunk.slice());
    const whole = Buffer.concat(chunks);
    const digest = sha256(whole);
    await this.process.call(`artifacts.put ${artifact.digest} ${whole.length} B`, () => {
      if (digest !== artifact.digest || whole.length !== artifact.bytes) {
        const told = `${artifact.digest} (${artifact.bytes} bytes)`;
        const message = `bytes put as ${told} are ${digest} (${whole.length} bytes)`;
        throw new PortError(message, { retryable: false });
      }
      if (digest === EMPTY_ARTIFACT || this.server.keep(artifact.digest)) return;
      const { takesBytesMax, takesSpareBytesMax } = this.server;
      const bytesMax =
        worth === 'spare' ? Math.min(takesBytesMax, takesSpareBytesMax) : takesBytesMax;
      if (whole.length > bytesMax)
        throw new ObjectStoreFullError(artifact.digest, { bytes: whole.length });
      this.server.set(artifact.digest, { ref: artifact, bytes: whole });
    });
  }

  async *get(artifact: ArtifactId): AsyncGenerator<Uint8Array> {
    if (artifact === EMPTY_ARTIFACT) return;
    const bytes = await this.process.call(`artifacts.get ${artifact}`, () => {
      const stored = this.server.get(artifact);
      if (stored === undefined) throw new ArtifactMissingError(artifact);
      return stored.bytes;
    });
    if (sha256(bytes) !== artifact) {
      throw new PortError(`the stored bytes of ${artifact} are damaged`, { retryable: false });
    }
    for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
      yield bytes.slice(start, start + CHUNK_BYTES);
    }
  }

  private refOf(artifact: ArtifactId): ArtifactRef | undefined {
    if (artifact === EMPTY_ARTIFACT) return { digest: artifact, kind: 'file', bytes: 0 };
    return this.server.get(artifact)?.ref;
  }
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
