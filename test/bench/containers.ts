import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseGraph } from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import { connectMesh, openMesh } from '@podmesh/jetstream';
import { runGraph } from './control-plane.ts';

const IMAGE = 'localhost/podmesh/busybox:1';
const run = promisify(execFile);

export interface ContainerFigures {
  /** Containers per second. */
  readonly podmanOneByOne: number;
  readonly podmanParallel: number;
  readonly podmeshOneByOne: number;
  readonly podmeshParallel: number;
}

/** `true` in a container without network, by Podman's own command line and as podmesh tasks, in turn. */
export async function containers(count: number, parallel: number): Promise<ContainerFigures> {
  const few = Math.ceil(count / 2);
  return {
    podmanOneByOne: few / (await podmanLoop(few)),
    podmeshOneByOne: few / (await podmesh(few, 1)),
    podmanParallel: count / (await podmanParallel(count, parallel)),
    podmeshParallel: count / (await podmesh(count, parallel)),
  };
}

async function podmanLoop(count: number): Promise<number> {
  const script = `for i in $(seq ${count}); do podman run --rm --network none ${IMAGE} true; done`;
  return timed(() => run('sh', ['-c', script]));
}

async function podmanParallel(count: number, jobs: number): Promise<number> {
  const command = `seq ${count} | parallel -j${jobs} podman run --rm --network none ${IMAGE} true '#'`;
  return timed(() => run('sh', ['-c', command]));
}

/** A real daemon on a home of its own; the time from publication to the end of the run. */
async function podmesh(count: number, cores: number): Promise<number> {
  const home = await mkdtemp(join(tmpdir(), 'podmesh-bench-home-'));
  const main = fileURLToPath(import.meta.resolve('@podmesh/daemon/main'));
  const daemon = spawn(process.execPath, [main, '--home', home, '--cores', String(cores)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [line] = await once(createInterface({ input: daemon.stdout }), 'line');
    const { nats } = JSON.parse(String(line)) as { nats: string };
    const connection = await connectMesh({ url: nats, name: 'bench' });
    const job = { id: 't', container: IMAGE, command: ['true'], count, cache: false };
    const graph = parseGraph({ version: 1, jobs: [job] }, sha256);
    if (!graph.ok) throw new Error(JSON.stringify(graph.error));
    const { seconds, events } = await runGraph(openMesh(connection), graph.value);
    const end = events.at(-1)?.event;
    if (end?.kind !== 'run-ended' || end.state !== 'succeeded') throw new Error('the run failed');
    await connection.close();
    return seconds;
  } finally {
    daemon.kill('SIGTERM');
    if (daemon.exitCode === null) await once(daemon, 'exit');
    await rm(home, { recursive: true, force: true });
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}
