import { open, readFile, rename, rm } from 'node:fs/promises';
import { type ArtifactId, isDigest, type PinReason } from '@podmesh/core';
import { isAbsence } from './absence.ts';

const PERSON: PinReason = { kind: 'person' };

/**
 * What must not be evicted, and why. Reasons are kept in memory; a person's are kept in a file too. Pin first and
 * look whether the artifact is there then: in the other order it may go in between. Of a directory, its files have
 * to be pinned as well as its listing.
 */
export class ArtifactPins {
  readonly #path: string;
  readonly #reasons = new Map<ArtifactId, readonly PinReason[]>();
  /** What is pinned together: a directory of 100,000 files is one entry here, not as many as it has files. */
  readonly #sets = new Map<ReadonlySet<ArtifactId>, PinReason>();
  #writing: Promise<void> = Promise.resolve();

  /** `path`: the file of people's pins. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Reads people's pins. Throws when they cannot be read: what they protect would be evicted. */
  async load(): Promise<void> {
    try {
      for (const artifact of parsePins(await readFile(this.#path, 'utf8'))) {
        this.pin(artifact, PERSON);
      }
    } catch (error) {
      if (isAbsence(error)) return;
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(
        `cannot read the pins in ${this.#path}: ${what}; correct the file or remove it`,
        { cause: error },
      );
    }
  }

  /** The same reason twice is one. A person's is `pinForPerson`. */
  pin(artifact: ArtifactId, reason: PinReason): void {
    const reasons = this.#reasons.get(artifact) ?? [];
    if (!reasons.some((other) => isSame(other, reason))) {
      this.#reasons.set(artifact, [...reasons, reason]);
    }
  }

  unpin(artifact: ArtifactId, reason: PinReason): void {
    this.#keep(artifact, (other) => !isSame(other, reason));
  }

  /** All of them at once; the set must not change until `unpinSet` is given the same one. */
  pinSet(artifacts: ReadonlySet<ArtifactId>, reason: PinReason): void {
    this.#sets.set(artifacts, reason);
  }

  unpinSet(artifacts: ReadonlySet<ArtifactId>): void {
    this.#sets.delete(artifacts);
  }

  /** Takes back every pin whose reason is matched: those of a claim, of a run. */
  unpinWhere(matches: (reason: PinReason) => boolean): void {
    for (const artifact of [...this.#reasons.keys()]) {
      this.#keep(artifact, (reason) => !matches(reason));
    }
    for (const [artifacts, reason] of [...this.#sets]) {
      if (matches(reason)) this.unpinSet(artifacts);
    }
  }

  /** Resolves when it would survive a restart. */
  async pinForPerson(artifacts: readonly ArtifactId[]): Promise<void> {
    for (const artifact of artifacts) this.pin(artifact, PERSON);
    await this.#save();
  }

  async unpinForPerson(artifacts: readonly ArtifactId[]): Promise<void> {
    for (const artifact of artifacts) this.unpin(artifact, PERSON);
    await this.#save();
  }

  reasonsOf(artifact: ArtifactId): readonly PinReason[] {
    const reasons = this.#reasons.get(artifact) ?? [];
    if (this.#sets.size === 0) return reasons;
    const together = [...this.#sets].filter(([artifacts]) => artifacts.has(artifact));
    return [...reasons, ...together.map(([, reason]) => reason)];
  }

  isPinned(artifact: ArtifactId): boolean {
    if (this.#reasons.has(artifact)) return true;
    for (const artifacts of this.#sets.keys()) {
      if (artifacts.has(artifact)) return true;
    }
    return false;
  }

  #keep(artifact: ArtifactId, isKept: (reason: PinReason) => boolean): void {
    const kept = (this.#reasons.get(artifact) ?? []).filter(isKept);
    if (kept.length > 0) this.#reasons.set(artifact, kept);
    else this.#reasons.delete(artifact);
  }

  /** One after the other: each writes all there are when its turn comes. */
  #save(): Promise<void> {
    const saved = this.#writing.then(() => this.#write());
    this.#writing = saved.catch(() => undefined);
    return saved;
  }

  async #write(): Promise<void> {
    const person = [...this.#reasons]
      .filter(([, reasons]) => reasons.some(({ kind }) => kind === 'person'))
      .map(([artifact]) => artifact);
    const temporary = `${this.#path}.new`;
    try {
      const file = await open(temporary, 'w', 0o600);
      try {
        await file.writeFile(`${JSON.stringify({ person })}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}

function isSame(one: PinReason, other: PinReason): boolean {
  if (one === other) return true;
  if (one.kind === 'input') {
    return other.kind === 'input' && one.claim === other.claim && one.of === other.of;
  }
  if (one.kind === 'unreplicated') {
    if (other.kind !== 'unreplicated' || one.apart !== other.apart) return false;
    return one.run === other.run && one.task === other.task;
  }
  return one.kind === other.kind;
}

function parsePins(text: string): readonly ArtifactId[] {
  const { person }: { person?: unknown } = Object(JSON.parse(text));
  if (!Array.isArray(person)) throw new Error('it has no list named "person"');
  return person.map((pinned: unknown) => {
    if (typeof pinned === 'string' && isDigest(pinned)) return pinned as ArtifactId;
    throw new Error(`${JSON.stringify(pinned)} is not a digest`);
  });
}
