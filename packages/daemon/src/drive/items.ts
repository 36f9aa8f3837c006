import {
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  canonicalJson,
  type Element,
  type ElementList,
  EXPANSION_BYTES_MAX,
  listEntries,
  type RunState,
  type Sha256,
  type StoredElement,
} from '@podmesh/core';
import { parseTree } from '@podmesh/jetstream';
import { putText } from '../store/put-text.ts';
import { readBounded } from '../store/read-bounded.ts';
import { eachAtOnce } from './each-at-once.ts';

export interface ItemsParts {
  readonly artifacts: ArtifactStore;
  readonly sha256: Sha256;
}

/** Lists beyond this are forgotten, oldest first, and read again when they are needed: a document may have thousands. */
export const LISTS_BYTES_MAX = 2 * EXPANSION_BYTES_MAX;
/** Elements that are stored, or pieces of a list that are read, at the same time. */
const AT_ONCE = 32;

/** The elements that tasks of `forEach` jobs are for, made artifacts as they are needed. */
export class Items {
  readonly #parts: ItemsParts;
  /** By job position, the last used one last. */
  readonly #elements = new Map<number, readonly Element[]>();
  /** By task: of those that are being offered. */
  readonly #stored = new Map<number, StoredElement>();

  constructor(parts: ItemsParts) {
    this.#parts = parts;
  }

  /** Stores what these tasks are for. What was stored for others before is forgotten. */
  async prepare(state: RunState, tasks: readonly number[]): Promise<void> {
    this.#stored.clear();
    const mine = tasks.filter((task) => state.expansions.has(state.index.jobOf(task)));
    for (const job of new Set(mine.map((task) => state.index.jobOf(task)))) {
      await this.#read(state, job);
      const again = mine.filter((task) => wasTried(state, task) && state.index.jobOf(task) === job);
      if (again.length > 0) await this.#restore(state, job, again);
      const own = mine.filter((task) => state.index.jobOf(task) === job);
      await eachAtOnce(own, AT_ONCE, async (task) => {
        this.#stored.set(task, await this.#store(this.#elementOf(state, task)));
      });
      this.#forgetOldest(state);
    }
  }

  /** Of a prepared task. */
  of(task: number): StoredElement {
    const stored = this.#stored.get(task);
    if (stored === undefined) {
      throw new Error(`broken invariant: the element of task ${task} is not stored`);
    }
    return stored;
  }

  #elementOf(state: RunState, task: number): Element {
    const element = this.#elements.get(state.index.jobOf(task))?.[state.index.elementOf(task) ?? 0];
    if (element === undefined) {
      throw new Error(`broken invariant: there is no element for ${state.index.idOf(task)}`);
    }
    return element;
  }

  /** Listings of folders below the list were stored by whoever read it, and by nobody else: of a task that was tried they may be gone. */
  async #restore(state: RunState, job: number, tasks: readonly number[]): Promise<void> {
    const { artifacts, sha256 } = this.#parts;
    const folders = tasks.flatMap((task) => {
      const element = this.#elementOf(state, task);
      return 'artifact' in element && element.artifact.kind === 'dir' ? [element.artifact] : [];
    });
    const source = state.expansions.get(job)?.source;
    const there = await artifacts.stat(folders.map(({ digest }) => digest));
    if (source === undefined || folders.every(({ digest }) => there.has(digest))) return;
    try {
      const bytes = await readBounded(artifacts, source, EXPANSION_BYTES_MAX);
      const listed = listEntries(parseTree(bytes, source));
      for (const entry of listed.ok ? listed.value : []) {
        if (entry.kind !== 'folder') continue;
        await putText(artifacts, sha256, 'dir', canonicalJson(entry.tree));
      }
    } catch (error) {
      // Then the attempt will say what it misses, and the list is made again.
      if (!(error instanceof ArtifactMissingError)) throw error;
    }
  }

  async #store(element: Element): Promise<StoredElement> {
    if ('artifact' in element) return element;
    const { artifacts, sha256 } = this.#parts;
    return { artifact: await putText(artifacts, sha256, 'file', element.text) };
  }

  async #read(state: RunState, job: number): Promise<void> {
    const list = state.expansions.get(job)?.elements;
    if (list === undefined) return;
    const elements = this.#elements.get(job) ?? (await this.#listed(list));
    this.#elements.delete(job);
    this.#elements.set(job, elements);
  }

  #forgetOldest(state: RunState): void {
    const jobs = [...this.#elements.keys()].reverse();
    let bytes = 0;
    for (const [age, job] of jobs.entries()) {
      bytes += bytesOf(state.expansions.get(job)?.elements);
      if (age > 0 && bytes > LISTS_BYTES_MAX) this.#elements.delete(job);
    }
  }

  async #listed(list: ElementList): Promise<readonly Element[]> {
    if (list.kind === 'inline') return list.elements;
    const pieces = await eachAtOnce(list.artifacts, AT_ONCE, (piece) => this.#piece(piece));
    return pieces.flat();
  }

  async #piece({ digest }: ArtifactRef): Promise<readonly Element[]> {
    const bytes = await readBounded(this.#parts.artifacts, digest, EXPANSION_BYTES_MAX);
    return JSON.parse(bytes.toString('utf8')) as readonly Element[];
  }
}

/** One that is in its event is in the state of the run anyway. */
function bytesOf(list: ElementList | undefined): number {
  if (list?.kind !== 'artifacts') return 0;
  return list.artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Whether a ready task is offered again. */
export function wasTried(state: RunState, task: number): boolean {
  const now = state.tasks[task];
  return now?.kind === 'ready' && now.past.length > 0;
}
