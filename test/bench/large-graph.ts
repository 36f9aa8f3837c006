import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseGraph } from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import { BenchMesh, newRunId } from './bench-mesh.ts';
import { putGraph } from './put-graph.ts';

export interface LargeGraphFigures {
  readonly tasks: number;
  readonly documentMiB: number;
  /** From the document's text to the drive in the queue. */
  readonly publishSeconds: number;
  readonly runSeconds: number;
  /** The most memory the driving process ever had. */
  readonly driverMiB: number;
}

/** Publishes as many jobs, each its own task, and runs them; the driver is a process of its own. */
export async function largeGraph(tasks: number): Promise<LargeGraphFigures> {
  const bench = new BenchMesh();
  let driver: ReturnType<typeof fork> | undefined;
  try {
    await bench.start();
    const mesh = await bench.connect('bench');
    driver = fork(fileURLToPath(new URL('./driver-process.js', import.meta.url)), [bench.url]);
    await once(driver, 'message');
    const text = documentText(tasks);
    const run = newRunId();
    const from = performance.now();
    const graph = parseGraph(JSON.parse(text), sha256);
    if (!graph.ok) throw new Error(JSON.stringify(graph.error[0]));
    await putGraph(mesh, run, graph.value);
    const publishSeconds = (performance.now() - from) / 1000;
    // Only now, so that no other peer than the measured one can drive.
    await bench.addWorker('worker', 256);
    const stop = new AbortController();
    for await (const batch of mesh.runLog.follow(run, 0, stop.signal)) {
      if (batch.some(({ event }) => event.kind === 'run-ended')) stop.abort();
    }
    const runSeconds = (performance.now() - from) / 1000;
    const driverMiB = await peakMemoryMiB(driver.pid ?? 0);
    const documentMiB = Buffer.byteLength(text) / 2 ** 20;
    return { tasks, documentMiB, publishSeconds, runSeconds, driverMiB };
  } finally {
    driver?.kill('SIGKILL');
    await bench.stop();
  }
}

function documentText(tasks: number): string {
  const jobs = Array.from({ length: tasks }, (_, number) => ({
    id: `job-${number}`,
    container: 'localhost/idle:1',
    command: ['process', `--part=${number}`],
    env: { PART: String(number) },
    ...(number % 10 === 0 ? {} : { after: [`job-${number - (number % 10)}`] }),
    cache: false,
  }));
  return JSON.stringify({ version: 1, name: 'large', jobs });
}

async function peakMemoryMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
}
