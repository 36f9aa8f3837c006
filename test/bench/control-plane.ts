import type { Graph, RunEvent, RunId } from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import { BenchMesh, graphOf, newRunId } from './bench-mesh.ts';
import { putGraph } from './put-graph.ts';

export interface ControlPlaneFigures {
  readonly tasks: number;
  readonly tasksPerSecond: number;
  /** From ready to started, by the server's own stamps. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const PEERS = 2;
const CORES = 128;

/** Many tasks that wait for nothing: how fast can the mesh hand out and settle. */
export async function independentTasks(count: number): Promise<ControlPlaneFigures> {
  return withMesh(async (mesh) => {
    const graph = graphOf([{ id: 'task', count, cache: false, needs: { memory: 0 } }]);
    const { seconds, events } = await runGraph(mesh, graph);
    const published = Date.parse(events[0]?.at ?? '');
    const waits = events
      .filter(({ event }) => event.kind === 'attempt-started')
      .map(({ at }) => Date.parse(at) - published);
    return figures(count, seconds, waits);
  });
}

/** Each task waits for the one before: how long is one step. */
export async function chain(length: number): Promise<ControlPlaneFigures> {
  return withMesh(async (mesh) => {
    const jobs = Array.from({ length }, (_, step) => ({
      id: `step-${step}`,
      after: step === 0 ? [] : [`step-${step - 1}`],
      cache: false,
    }));
    const { seconds, events } = await runGraph(mesh, graphOf(jobs));
    const waits: number[] = [];
    let ready = preciseMs(events[0]?.at);
    for (const { event, at } of events) {
      if (event.kind === 'attempt-started') waits.push(preciseMs(at) - ready);
      if (event.kind === 'attempt-succeeded') ready = preciseMs(at);
    }
    return figures(length, seconds, waits);
  });
}

async function withMesh<T>(measure: (mesh: Mesh) => Promise<T>): Promise<T> {
  const bench = new BenchMesh();
  try {
    await bench.start();
    for (let peer = 0; peer < PEERS; peer += 1) await bench.addPeer(`bench-${peer}`, CORES);
    return await measure(await bench.connect('bench'));
  } finally {
    await bench.stop();
  }
}

interface Timed {
  readonly event: RunEvent;
  readonly at: string;
}

/** Publishes the graph and collects all of its events; seconds from publication to its end. */
export async function runGraph(
  mesh: Mesh,
  graph: Graph,
): Promise<{ run: RunId; seconds: number; events: readonly Timed[] }> {
  const run = newRunId();
  const from = performance.now();
  await putGraph(mesh, run, graph);
  const stop = new AbortController();
  const events: Timed[] = [];
  for await (const batch of mesh.runLog.follow(run, 0, stop.signal)) {
    for (const { event, at } of batch) {
      events.push({ event, at });
      if (event.kind === 'run-ended') stop.abort();
    }
  }
  return { run, seconds: (performance.now() - from) / 1000, events };
}

/** Milliseconds with the fraction that `Date` drops. */
function preciseMs(at: string | undefined): number {
  const fraction = /\.(\d+)/.exec(at ?? '')?.[1] ?? '0';
  return Math.floor(Date.parse(at ?? '') / 1000) * 1000 + Number(`0.${fraction}`) * 1000;
}

function figures(tasks: number, seconds: number, waits: number[]): ControlPlaneFigures {
  waits.sort((a, b) => a - b);
  const at = (share: number): number => waits[Math.floor((waits.length - 1) * share)] ?? Number.NaN;
  return { tasks, tasksPerSecond: tasks / seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}
