import type {
  ArtifactId,
  AttemptStarted,
  Graph,
  Logged,
  RunEnded,
  RunEvent,
  RunId,
  TaskId,
} from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import { checkRun } from '@podmesh/testkit';
import { newRunId } from '../bench/bench-mesh.ts';
import { putGraph } from '../bench/put-graph.ts';
import { within } from './within.ts';

/** Far beyond what a busy machine needs for any fact. */
const FACT_MS = 300_000;
const FACTS_SHOWN = 8;

type Kind = RunEvent['kind'];
type Fact<K extends Kind> = Logged<Extract<RunEvent, { kind: K }>>;

/** A run that a test published, with all of its facts as they come. */
export class PublishedRun {
  readonly run: RunId;
  readonly facts: Logged[] = [];
  readonly #stop = new AbortController();
  #following: Promise<void> = Promise.resolve();
  readonly #witness: () => string;
  #failure: Error | undefined;
  #arrived: () => void = () => undefined;
  #arrival: Promise<void> = Promise.resolve();

  private constructor(run: RunId, witness: () => string) {
    this.run = run;
    this.#witness = witness;
    this.#nextArrival();
  }

  /** `witness` tells what else is known of the mesh when a wait fails. */
  static async publish(mesh: Mesh, graph: Graph, witness = () => ''): Promise<PublishedRun> {
    const run = newRunId();
    await putGraph(mesh, run, graph);
    return PublishedRun.follow(mesh, run, witness);
  }

  static follow(mesh: Mesh, run: RunId, witness = () => ''): PublishedRun {
    const published = new PublishedRun(run, witness);
    published.#following = published.#collect(mesh);
    return published;
  }

  /** Every fact from number `from` to `run-ended`, each as it comes. */
  async *each(from = 0): AsyncGenerator<Logged> {
    for (let next = from; ; next += 1) {
      while (this.facts.length <= next) await this.#waitForMore();
      const fact = this.facts[next];
      if (fact === undefined) return;
      yield fact;
      if (fact.event.kind === 'run-ended') return;
    }
  }

  /** The first fact of the kind that also passes `match`. */
  async until<K extends Kind>(
    kind: K,
    match: (event: Fact<K>['event']) => boolean = () => true,
    limitMs = FACT_MS,
  ): Promise<Fact<K>> {
    const isIt = (fact: Logged): fact is Fact<K> =>
      fact.event.kind === kind && match(fact.event as Fact<K>['event']);
    const search = async (): Promise<Fact<K>> => {
      for await (const fact of this.each()) if (isIt(fact)) return fact;
      throw new Error(`the run ended without such a ${kind}: ${this.told()}`);
    };
    return within(limitMs, () => `a fact ${kind} (${match}); ${this.told()}`, search());
  }

  async untilEnd(limitMs = FACT_MS): Promise<RunEnded> {
    return (await this.until('run-ended', () => true, limitMs)).event;
  }

  of<K extends Kind>(kind: K): readonly Fact<K>[] {
    return this.facts.filter((fact): fact is Fact<K> => fact.event.kind === kind);
  }

  /** Attempts that were started and have no end yet. */
  openAttempts(): readonly AttemptStarted[] {
    const open = new Map<TaskId, AttemptStarted>();
    for (const { event } of this.facts) {
      if (event.kind === 'attempt-started') open.set(event.task, event);
      else if ('task' in event) open.delete(event.task);
    }
    return [...open.values()];
  }

  /** What is wrong with the log: one outcome for each attempt, nothing after a success, right counts. */
  violations(): readonly string[] {
    const outcomes = new Map<TaskId, number>();
    for (const { event } of this.facts) {
      if (event.kind !== 'attempt-succeeded' && event.kind !== 'task-cached') continue;
      outcomes.set(event.task, (outcomes.get(event.task) ?? 0) + 1);
    }
    const twice = [...outcomes].filter(([, count]) => count > 1).map(([task]) => task);
    return [...checkRun(this.facts), ...twice.map((task) => `task ${task} succeeded twice`)];
  }

  /** `<task>/<output>` → digest, of everything that succeeded. */
  outputs(): Readonly<Record<string, ArtifactId>> {
    const outputs = new Map<string, ArtifactId>();
    for (const { event } of this.facts) {
      if (event.kind !== 'attempt-succeeded' && event.kind !== 'task-cached') continue;
      for (const [name, ref] of Object.entries(event.result.outputs)) {
        outputs.set(`${event.task}/${name}`, ref.digest);
      }
    }
    return Object.fromEntries([...outputs].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** For the message of a failure: how many facts of each kind, and the last ones. */
  told(): string {
    const counts = new Map<Kind, number>();
    for (const { event } of this.facts) counts.set(event.kind, (counts.get(event.kind) ?? 0) + 1);
    const last = this.facts.slice(-FACTS_SHOWN).map(({ event, at }) => {
      const { kind, task, peer, attempt, failure } = { ...event } as Partial<
        Record<string, unknown>
      >;
      return JSON.stringify({ at, kind, task, attempt, peer, failure });
    });
    const kinds = JSON.stringify(Object.fromEntries(counts));
    return `run ${this.run} has ${kinds}, last:\n${last.join('\n')}\n${this.#witness()}`;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }

  async #collect(mesh: Mesh): Promise<void> {
    try {
      for await (const batch of mesh.runLog.follow(this.run, 0, this.#stop.signal)) {
        this.facts.push(...batch);
        this.#nextArrival();
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#nextArrival();
    }
  }

  #nextArrival(): void {
    this.#arrived();
    this.#arrival = new Promise((resolve) => {
      this.#arrived = resolve;
    });
  }

  async #waitForMore(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#arrival;
  }
}
