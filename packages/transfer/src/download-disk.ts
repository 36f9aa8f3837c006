import { mkdir, open, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactId, assert, type ChunkList } from '@podmesh/core';
import type { ArtifactDisk, PartialArtifact } from './artifact-disk.ts';
import type { BytesThread } from './bytes-thread.ts';
import { chunkPlace } from './chunk-place.ts';
import { readPartialState, writePartialState } from './partial-state.ts';

/** What is here is written down after so many bytes: a kill costs no more than that. */
const STATE_BYTES = 64 * 1024 * 1024;

/**
 * {@link ArtifactDisk} of a program that wants single files: each is put together in the given folder, which may be
 * beside the place where it is going to be, and lies there under its digest when it is whole. What a try that was ended
 * left there, a kill included, is gone on with.
 */
export class DownloadDisk implements ArtifactDisk {
  readonly #folder: string;
  readonly #thread: BytesThread;

  constructor(folder: string, thread: BytesThread) {
    this.#folder = folder;
    this.#thread = thread;
  }

  pathOf(artifact: ArtifactId): string {
    return join(this.#folder, artifact.replace(':', '-'));
  }

  /** Only what this process finished counts, and that is taken away by who asked for it. */
  async has(): Promise<boolean> {
    return false;
  }

  /** It serves nobody. */
  async chunkList(): Promise<undefined> {
    return undefined;
  }

  async read(): Promise<undefined> {
    return undefined;
  }

  async begin(artifact: ArtifactId, list: ChunkList): Promise<PartialArtifact> {
    const download = new Download(this.pathOf(artifact), artifact, list, this.#thread);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await download.begin();
    return download;
  }

  /** Takes the folder away, unless something is left in it that the next try can go on with. */
  async close(): Promise<void> {
    await rmdir(this.#folder).catch(() => undefined);
  }
}

class Download implements PartialArtifact {
  readonly #path: string;
  readonly #partial: string;
  readonly #artifact: ArtifactId;
  readonly #list: ChunkList;
  readonly #thread: BytesThread;
  readonly #here = new Set<number>();
  #unnotedBytes = 0;
  #isOver = false;

  constructor(path: string, artifact: ArtifactId, list: ChunkList, thread: BytesThread) {
    this.#path = path;
    this.#partial = `${path}.part`;
    this.#artifact = artifact;
    this.#list = list;
    this.#thread = thread;
  }

  get here(): ReadonlySet<number> {
    return this.#here;
  }

  /** What an earlier try wrote counts as far as its hashes are right. */
  async begin(): Promise<void> {
    const state = await readPartialState(this.#statePath());
    if (state?.bytes === this.#list.bytes) await this.#takeUp([...state.here]);
    const file = await open(this.#partial, 'a', 0o600);
    try {
      await file.truncate(this.#list.bytes);
    } finally {
      await file.close();
    }
  }

  async put(index: number, bytes: Uint8Array): Promise<'here' | 'corrupt'> {
    assert(!this.#isOver, 'nothing is put into what is closed');
    const { offset, bytes: wanted } = chunkPlace(this.#artifact, this.#list.bytes, index);
    const sha256 = this.#list.digests[index];
    if (sha256 === undefined || bytes.length !== wanted) return 'corrupt';
    if (!(await this.#thread.put(this.#partial, { offset, sha256 }, bytes))) return 'corrupt';
    this.#here.add(index);
    this.#unnotedBytes += wanted;
    if (this.#unnotedBytes >= STATE_BYTES) await this.#note();
    return 'here';
  }

  async commit(): Promise<'stored' | 'corrupt'> {
    const { sha256 } = await this.#thread.hashFile(this.#partial);
    this.#isOver = true;
    if (`sha256:${sha256}` !== this.#artifact) {
      await rm(this.#partial, { force: true });
      await rm(this.#statePath(), { force: true });
      return 'corrupt';
    }
    const file = await open(this.#partial, 'r');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(this.#partial, this.#path);
    await rm(this.#statePath(), { force: true });
    return 'stored';
  }

  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#here.size > 0) return await this.#note();
    await rm(this.#partial, { force: true });
    await rm(this.#statePath(), { force: true });
  }

  async #takeUp(noted: readonly number[]): Promise<void> {
    const ranges = noted.map((index) => ({
      ...chunkPlace(this.#artifact, this.#list.bytes, index),
      sha256: this.#list.digests[index] ?? '',
    }));
    const matches = await this.#thread.matching(this.#partial, ranges).catch(() => []);
    for (const [at, index] of noted.entries()) if (matches[at] === true) this.#here.add(index);
  }

  /** What could not be written down is fetched again. */
  async #note(): Promise<void> {
    this.#unnotedBytes = 0;
    const { bytes } = this.#list;
    const state = { bytes, here: new Set(this.#here) };
    await writePartialState(this.#statePath(), state).catch(() => undefined);
  }

  #statePath(): string {
    return `${this.#path}.state`;
  }
}
