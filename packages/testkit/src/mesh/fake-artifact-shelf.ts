import type {
  ArtifactId,
  ArtifactShelf,
  Result,
  Sequence,
  ShelfLook,
  ShelvedArtifact,
  StaleAppend,
  SweepNote,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import type { ArtifactServer } from './fake-artifact-store.ts';

/** Artifacts of one batch of a list. */
const BATCH = 3;

/** The artifacts of the mesh as the sweep of one process sees them. Uploads are there whole or not at all. */
export class FakeArtifactShelf implements ArtifactShelf {
  private readonly process: FakeProcess;
  private readonly server: ArtifactServer;

  constructor(process: FakeProcess, server: ArtifactServer) {
    this.process = process;
    this.server = server;
  }

  look(): Promise<ShelfLook> {
    return this.process.call('shelf.look', () => {
      const { lastSequence, note } = this.server;
      const bytes = [...this.server.values()].reduce((sum, { ref }) => sum + ref.bytes, 0);
      const nowMs = this.server.nowMs();
      return { nowMs, lastSequence, bytes, ...(note === undefined ? {} : { note }) };
    });
  }

  async *list(signal: AbortSignal): AsyncGenerator<readonly ShelvedArtifact[]> {
    for (let after = 0; ; ) {
      const batch = await this.process.call('shelf.list', () => this.behind(after));
      signal.throwIfAborted();
      if (batch.length === 0) return;
      yield batch;
      after = batch.at(-1)?.sequence ?? after;
    }
  }

  announce(value: SweepNote, expected: Sequence): Promise<Result<Sequence, StaleAppend>> {
    return this.process.call('shelf.announce', () => {
      if ((this.server.note?.sequence ?? 0) !== expected)
        return { ok: false, error: { kind: 'stale' } };
      const sequence = this.server.nextSequence();
      this.server.note = { value, sequence, atMs: this.server.nowMs() };
      return { ok: true, value: sequence };
    });
  }

  remove({ artifact, sequence }: ShelvedArtifact): Promise<boolean> {
    return this.process.call('shelf.remove', () => {
      if (!this.server.has(artifact) || this.server.sequenceOf(artifact) !== sequence) return false;
      return this.server.delete(artifact);
    });
  }

  removeUnfinished(): Promise<number> {
    return this.process.call('shelf.removeUnfinished', () => 0);
  }

  refresh(artifacts: readonly ArtifactId[]): Promise<void> {
    return this.process.call('shelf.refresh', () => {
      for (const artifact of artifacts) this.server.keep(artifact);
    });
  }

  private behind(after: Sequence): readonly ShelvedArtifact[] {
    return [...this.server.values()]
      .map(({ ref: { digest: artifact, kind, bytes } }) => {
        const sequence = this.server.sequenceOf(artifact);
        return { artifact, kind, bytes, sequence, place: artifact };
      })
      .filter(({ sequence }) => sequence > after)
      .sort((a, b) => a.sequence - b.sequence)
      .slice(0, BATCH);
  }
}
