import { PROBLEMS_LISTED_MAX } from '../words/limits.ts';

/** One thing that is wrong with a document, for the person who wrote it. */
export interface GraphProblem {
  /** Where, as `jobs[2].inputs.in1`; `(document)` for the whole. */
  readonly path: string;
  /** What is wrong. */
  readonly problem: string;
  /** What to do about it. */
  readonly advice: string;
}

/** A place in the document: the keys and indices that lead there. */
export type Path = readonly (string | number)[];

/** What is wrong and what to do, of a place that the caller knows. */
export type Finding = Omit<GraphProblem, 'path'>;

/** Sorting is done now and then, not on every addition: this many are gathered in between. */
const GATHERED_MAX = 8 * PROBLEMS_LISTED_MAX;
const KEY_CHARACTERS_SHOWN = 64;

/**
 * Collects problems in any order and lists the first of them by place in the document, so that a
 * document with a million mistakes needs no more memory than one with a hundred. A finding is
 * a function because its advice may cost a search, and only those that are listed are worded.
 */
export class ProblemList {
  readonly #document: unknown;
  #found: Found[] = [];
  #leftOut = 0;

  constructor(document: unknown) {
    this.#document = document;
  }

  get isEmpty(): boolean {
    return this.#found.length === 0;
  }

  add(path: Path, finding: () => Finding): void {
    this.#found.push({ path, rank: rankOf(this.#document, path), finding });
    if (this.#found.length >= GATHERED_MAX) this.#keepFirst();
  }

  /** In document order, at most `PROBLEMS_LISTED_MAX`, then one more that counts the rest. */
  toProblems(): readonly GraphProblem[] {
    this.#keepFirst();
    const listed = this.#found.map(({ path, finding }) => ({
      path: pathText(this.#document, path),
      ...finding(),
    }));
    return this.#leftOut === 0 ? listed : [...listed, countOfRest(this.#leftOut)];
  }

  #keepFirst(): void {
    this.#found.sort((a, b) => compareRanks(a.rank, b.rank));
    this.#leftOut += Math.max(0, this.#found.length - PROBLEMS_LISTED_MAX);
    this.#found = this.#found.slice(0, PROBLEMS_LISTED_MAX);
  }
}

interface Found {
  readonly path: Path;
  /** For each step of the path, the how-manieth member it is. */
  readonly rank: readonly number[];
  readonly finding: () => Finding;
}

function countOfRest(count: number): GraphProblem {
  return {
    path: '(document)',
    problem: `${count.toLocaleString('en')} more ${count === 1 ? 'problem' : 'problems'} not listed here`,
    advice: 'Repair those above first and try again.',
  };
}

function rankOf(document: unknown, path: Path): readonly number[] {
  let place: unknown = document;
  return path.map((step) => {
    const parent = place;
    place = memberOf(parent, step);
    if (Array.isArray(parent)) return Number(step);
    if (typeof parent !== 'object' || parent === null) return 0;
    return Object.keys(parent).indexOf(String(step));
  });
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (const [depth, rank] of a.entries()) {
    const difference = rank - (b[depth] ?? -1);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function pathText(document: unknown, path: Path): string {
  let place: unknown = document;
  let text = '';
  for (const step of path) {
    text += Array.isArray(place) ? `[${step}]` : keyText(String(step), text === '');
    place = memberOf(place, step);
  }
  return text === '' ? '(document)' : text;
}

function keyText(key: string, first: boolean): string {
  if (/^[A-Za-z_$][\w$-]{0,63}$/.test(key)) return first ? key : `.${key}`;
  return `[${JSON.stringify(shorten(key, KEY_CHARACTERS_SHOWN))}]`;
}

function memberOf(place: unknown, step: string | number): unknown {
  if (typeof place !== 'object' || place === null || !Object.hasOwn(place, step)) return undefined;
  return (place as Record<string | number, unknown>)[step];
}

/** A value as it can stand in a sentence, however large or odd it is. */
export function inWords(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return JSON.stringify(shorten(value, KEY_CHARACTERS_SHOWN));
  return String(value);
}

function shorten(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters)}…`;
}
