import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  type ArtifactKind,
  type ArtifactRef,
  type ArtifactStore,
  artifactId,
  type ClaimId,
  EMPTY_ARTIFACT,
  type OutputEntry,
  type RunId,
  SMALL_ARTIFACT_BYTES_MAX,
  type TaskId,
  type TreeEntry,
} from '@podmesh/core';
import type {
  AttemptJournal,
  JournalEntry,
  LogSpool,
  StoredOutput,
  TaskFiles,
} from '@podmesh/daemon';
import { makeTree, parseTree } from '@podmesh/jetstream';
import type { SimMachine, SimProcess } from '@podmesh/testkit';
import { SimDisk } from './sim-disk.ts';

/** The files of attempts on a simulated machine: in memory, with the mesh's artifact store behind. */
export class SimTaskFiles implements TaskFiles {
  readonly #artifacts: ArtifactStore;
  readonly #disk: SimDisk | undefined;

  /** `disk`: where large outputs are, and nowhere else; absent: everything is in the store. */
  constructor(artifacts: ArtifactStore, disk?: SimDisk) {
    this.#artifacts = artifacts;
    this.#disk = disk;
  }

  async input(artifact: ArtifactRef): Promise<string> {
    if (artifact.digest === EMPTY_ARTIFACT) return '/sim/empty';
    if (artifact.kind === 'file' && artifact.bytes > SMALL_ARTIFACT_BYTES_MAX) {
      await this.#disk?.fetch(artifact.digest);
      return `/sim/${artifact.digest}`;
    }
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#artifacts.get(artifact.digest)) pieces.push(piece);
    if (artifact.kind === 'dir') {
      const { entries } = parseTree(Buffer.concat(pieces), artifact.digest);
      for (const entry of entries) {
        if (entry.kind === 'file') await this.input({ ...entry, kind: 'file' });
        if (entry.kind === 'tree') await this.input({ ...entry, kind: 'dir', bytes: 0 });
      }
    }
    return `/sim/${artifact.digest}`;
  }

  async storeOutput(
    kind: ArtifactKind,
    entries: AsyncIterable<OutputEntry>,
    success?: Parameters<TaskFiles['storeOutput']>[2],
  ): Promise<StoredOutput> {
    const listed: TreeEntry[] = [];
    const large: ArtifactId[] = [];
    for await (const entry of entries) {
      if (entry.kind !== 'file') {
        listed.push(entry);
        continue;
      }
      const pieces: Uint8Array[] = [];
      for await (const piece of entry.content) pieces.push(piece);
      const bytes = Buffer.concat(pieces);
      const stored =
        (success && this.#putOnDisk(bytes, success)) ?? (await this.#put('file', bytes));
      const isLarge = stored.bytes > SMALL_ARTIFACT_BYTES_MAX;
      if (kind === 'file') return isLarge ? { ...stored, bulk: true } : stored;
      if (isLarge) large.push(stored.digest);
      const { path, executable } = entry;
      listed.push({ ...stored, kind: 'file', path, executable });
    }
    const listing = await this.#put('dir', makeTree(listed).bytes);
    return large.length === 0 ? listing : { ...listing, bulk: true };
  }

  /** Undefined for what is small. */
  #putOnDisk(
    bytes: Uint8Array,
    { run, task }: { readonly run: RunId; readonly task: TaskId },
  ): ArtifactRef | undefined {
    const ref = refOf('file', bytes);
    if (this.#disk === undefined || bytes.length === 0 || !SimDisk.isLarge(ref.digest))
      return undefined;
    this.#disk.write(ref.digest, bytes);
    this.#disk.hold(run, task, [ref.digest]);
    return SimDisk.called(ref);
  }

  scratch(claim: ClaimId): string {
    return `/sim/scratch/${claim}`;
  }

  async release(): Promise<void> {}

  openLog(): LogSpool {
    const pieces: Uint8Array[] = [];
    return {
      write: (_, bytes) => void pieces.push(bytes),
      store: async () => {
        const { digest, bytes } = await this.#put('file', Buffer.concat(pieces));
        return { digest, bytes, truncated: false };
      },
      stderrTail: () => '',
      discard: async () => undefined,
    };
  }

  /** Its containers replay their whole logs, so nobody asks for the rest of one. */
  async reopenLog(): Promise<LogSpool> {
    return this.openLog();
  }

  async #put(kind: ArtifactKind, bytes: Uint8Array): Promise<ArtifactRef> {
    const ref = refOf(kind, bytes);
    if (ref.digest !== EMPTY_ARTIFACT) await this.#artifacts.put(ref, once(bytes));
    return ref;
  }
}

function refOf(kind: ArtifactKind, bytes: Uint8Array): ArtifactRef {
  const digest = artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  return { digest, kind, bytes: bytes.length };
}

/** A journal on the machine's disk: it survives the process, which writes nothing once it is dead. */
export class SimJournal implements AttemptJournal {
  readonly #disk: Map<string, unknown>;
  readonly #process: SimProcess;

  constructor(machine: SimMachine, process: SimProcess) {
    this.#disk = machine.disk;
    this.#process = process;
  }

  async write(entry: JournalEntry): Promise<void> {
    await this.#unlessDead();
    this.#disk.set(`attempt ${entry.claim}`, entry);
  }

  async noteStarted(claim: ClaimId, image: string): Promise<void> {
    await this.#unlessDead();
    const name = `attempt ${claim}`;
    const entry = this.#disk.get(name) as JournalEntry | undefined;
    if (entry !== undefined)
      this.#disk.set(name, { ...entry, started: { ranMs: 0, isOfThisBoot: true, image } });
  }

  async remove(claim: ClaimId): Promise<void> {
    await this.#unlessDead();
    this.#disk.delete(`attempt ${claim}`);
  }

  async list(): Promise<readonly JournalEntry[]> {
    const entries = [...this.#disk].filter(([name]) => name.startsWith('attempt '));
    return entries.map(([, entry]) => entry as JournalEntry);
  }

  #unlessDead(): Promise<void> {
    return this.#process.alive ? Promise.resolve() : new Promise(() => undefined);
  }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
