import {
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  canonicalJson,
  type Element,
  type ElementList,
  EXPANSION_BYTES_MAX,
  EXPANSION_PIECE_BYTES,
  type ExpansionSource,
  expansionSource,
  type Failure,
  INLINE_VALUE_BYTES_MAX,
  type ListedEntry,
  listEntries,
  listTexts,
  NO_TEXT,
  type RunId,
  type RunLog,
  type RunState,
  type Sequence,
  type Sha256,
  TASKS_PER_GRAPH_MAX,
  type TaskId,
  taskTotal,
} from '@podmesh/core';
import { parseTree } from '@podmesh/jetstream';
import { putText } from '../store/put-text.ts';
import { readBounded } from '../store/read-bounded.ts';
import { eachAtOnce } from './each-at-once.ts';
import { type Suspect, suspectOf } from './losses.ts';

export interface ExpanderParts {
  readonly log: RunLog;
  readonly artifacts: ArtifactStore;
  readonly sha256: Sha256;
}

/** Listings and pieces of lists that are stored at the same time. */
const STORES_AT_ONCE = 16;

type Read =
  | { readonly kind: 'elements'; readonly elements: readonly Element[] }
  | { readonly kind: 'unusable'; readonly why: string };

/** Reads what a `forEach` job goes over, and tells the run what the elements are. */
export class Expander {
  readonly #parts: ExpanderParts;
  readonly #run: RunId;

  constructor(parts: ExpanderParts, run: RunId) {
    this.#parts = parts;
    this.#run = run;
  }

  /** The fact is appended, or somebody else's was first. Otherwise who has to be asked whether the list was lost. */
  async expand(state: RunState, task: number): Promise<Suspect | undefined> {
    const source = expansionSource(state, task);
    if (source === undefined) return undefined;
    const { artifact, forEach, behind } = source;
    const what = nameOf(forEach);
    try {
      const read = await this.#read(artifact, forEach.as);
      if (read.kind === 'unusable')
        return await this.#fail(state, task, behind, `${what}: ${read.why}`);
      const tasks = taskTotal(state) + read.elements.length;
      if (tasks > TASKS_PER_GRAPH_MAX) {
        const why = `${what}: with its ${read.elements.length} elements the run would have ${tasks} tasks, and ${TASKS_PER_GRAPH_MAX} are possible`;
        return await this.#fail(state, task, behind, why);
      }
      await this.#tell(state.index.idOf(task), source, read.elements);
      return undefined;
    } catch (error) {
      if (!(error instanceof ArtifactMissingError)) throw error;
      const suspect = suspectOf(state, task, artifact);
      if (suspect !== undefined) return suspect;
      return await this.#fail(state, task, behind, `${what}: nobody has it any more`);
    }
  }

  /** The job fails: nobody can go over its list. */
  async fail(state: RunState, task: number, why: string): Promise<void> {
    const source = expansionSource(state, task);
    if (source === undefined) return;
    await this.#fail(state, task, source.behind, `${nameOf(source.forEach)}: ${why}`);
  }

  async #read(artifact: ArtifactRef, as: 'json' | 'lines' | undefined): Promise<Read> {
    if (artifact.bytes > EXPANSION_BYTES_MAX) {
      const why = `it has ${artifact.bytes} bytes, and a list may have ${EXPANSION_BYTES_MAX}`;
      return { kind: 'unusable', why };
    }
    const bytes = await readBounded(this.#parts.artifacts, artifact.digest, EXPANSION_BYTES_MAX);
    if (artifact.kind === 'file') {
      const text = textOf(bytes);
      if (text === undefined)
        return { kind: 'unusable', why: `not all of it is UTF-8, so ${NO_TEXT}` };
      const texts = listTexts(text, as);
      if (!texts.ok) return { kind: 'unusable', why: texts.error };
      return { kind: 'elements', elements: texts.value };
    }
    const entries = listEntries(parseTree(bytes, artifact.digest));
    if (!entries.ok) return { kind: 'unusable', why: entries.error };
    const store = (entry: ListedEntry) => this.#store(entry);
    return { kind: 'elements', elements: await eachAtOnce(entries.value, STORES_AT_ONCE, store) };
  }

  /** A directory below the one that is gone over has no listing of its own until somebody makes it. */
  #store(entry: ListedEntry): Element | Promise<Element> {
    const { name } = entry;
    if (entry.kind === 'stored') return { name, artifact: entry.artifact };
    const { artifacts, sha256 } = this.#parts;
    const stored = putText(artifacts, sha256, 'dir', canonicalJson(entry.tree));
    return stored.then((artifact) => ({ name, artifact }));
  }

  async #tell(
    task: TaskId,
    { artifact, behind }: ExpansionSource,
    elements: readonly Element[],
  ): Promise<void> {
    const list = await this.#listOf(elements);
    await this.#parts.log.append(
      {
        kind: 'job-expanded',
        run: this.#run,
        task,
        source: artifact.digest,
        count: elements.length,
        elements: list,
      },
      behind,
    );
  }

  /** In pieces small enough for the object store: a list must not be lost with the disk of one peer. */
  async #listOf(elements: readonly Element[]): Promise<ElementList> {
    const texts = elements.map((one) => JSON.stringify(one));
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 2);
    if (bytes <= INLINE_VALUE_BYTES_MAX / 2) return { kind: 'inline', elements };
    const pieces: string[][] = [[]];
    let room = EXPANSION_PIECE_BYTES;
    for (const text of texts) {
      room -= Buffer.byteLength(text) + 1;
      if (room < 0) {
        pieces.push([]);
        room = EXPANSION_PIECE_BYTES - Buffer.byteLength(text) - 1;
      }
      pieces.at(-1)?.push(text);
    }
    const { artifacts, sha256 } = this.#parts;
    const stored = await eachAtOnce(pieces, STORES_AT_ONCE, (piece) =>
      putText(artifacts, sha256, 'file', `[${piece.join(',')}]`),
    );
    return { kind: 'artifacts', artifacts: stored };
  }

  async #fail(state: RunState, task: number, behind: Sequence, why: string): Promise<undefined> {
    const failure: Failure = { kind: 'output-missing', message: `it cannot go over ${why}` };
    const id = state.index.idOf(task);
    await this.#parts.log.append(
      { kind: 'expansion-failed', run: this.#run, task: id, failure },
      behind,
    );
    return undefined;
  }
}

function nameOf({ job, index, output }: ExpansionSource['forEach']): string {
  return `jobs:${job}${index === undefined ? '' : `:${index}`}/${output}`;
}

/** Undefined: it is none. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
