import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  EMPTY_ARTIFACT,
  PortError,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

/** Bytes of one piece of an answer. */
const CHUNK_BYTES = 64 * 1024;

/** Artifacts that the mesh holds. */
export type ArtifactServer = Map<ArtifactId, StoredArtifact>;

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

  async put(artifact: ArtifactRef, bytes: AsyncIterable<Uint8Array>): Promise<void> {
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
      if (digest !== EMPTY_ARTIFACT)
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
