import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach } from 'vitest';

/**
 * What one conformance test works on: a mesh of its own (nothing of an earlier test is in it) and two
 * independent connections to it.
 */
export interface Bench<P> {
  readonly ports: P;
  readonly other: P;
  dispose(): Promise<void>;
  /** Lets virtual time pass. Absent where time is real: there the suites wait for the facts themselves. */
  readonly advance?: (ms: number) => Promise<void>;
}

export type MakeBench<B> = () => Promise<B>;

/** A bench for each test of the surrounding `describe`. */
export function useBench<B extends { dispose(): Promise<void> }>(make: MakeBench<B>): () => B {
  let bench: B | undefined;
  beforeEach(async () => {
    bench = await make();
  });
  afterEach(async () => {
    const used = bench;
    bench = undefined;
    await used?.dispose();
  });
  return () => {
    if (bench === undefined) throw new Error('there is no bench outside of a test');
    return bench;
  };
}

type Advancing = Pick<Bench<unknown>, 'advance'>;

/** The answer to something that takes up to `ms`: virtual time passes, real time is waited for. */
export async function within<T>(bench: Advancing, ms: number, answer: Promise<T>): Promise<T> {
  const advance = bench.advance;
  if (advance !== undefined) {
    answer.catch(() => undefined);
    await advance(ms);
  }
  return answer;
}

/** Between two looks at a fact. */
const LOOK_AGAIN_MS = 20;

/** Waits until `probe` gives something; the test's own timeout is the bound. */
export async function until<T>(
  bench: Advancing,
  probe: () => Promise<T | undefined | false>,
): Promise<T> {
  for (;;) {
    const fact = await probe();
    if (fact !== undefined && fact !== false) return fact;
    await (bench.advance?.(1_000) ?? pause(LOOK_AGAIN_MS));
  }
}

/** Everything an iterable gives until it ends. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** The first `count` items. */
export async function take<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const found: T[] = [];
  if (count === 0) return found;
  for await (const item of items) {
    found.push(item);
    if (found.length >= count) return found;
  }
  throw new Error(`ended after ${found.length} of ${count} items`);
}

/** Batches as one list. */
export async function* flat<T>(batches: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const batch of batches) yield* batch;
}
