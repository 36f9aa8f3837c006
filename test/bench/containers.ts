import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { folderOfMeshUrl, MeshFolder, memberAddress } from '@podmesh/authority';
import { parseGraph, type RuntimeName } from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import {
  connectMesh,
  type Mesh,
  type MeshAddress,
  type MeshConnection,
  openMesh,
} from '@podmesh/jetstream';
import { runGraph } from './control-plane.ts';
import { rawCrun } from './raw-crun.ts';

const IMAGE = 'localhost/podmesh/busybox:1';
const run = promisify(execFile);

export interface ContainerFigures {
  /** Containers per second. */
  readonly podman: number;
  readonly rawCrun: number;
  readonly podmesh: Readonly<Record<RuntimeName, LaneFigures>>;
}

export interface LaneFigures {
  readonly perSecond: number;
  /** Of the first tasks that a daemon ever ran: V8 compiles its code meanwhile. */
  readonly fresh: TaskCpu;
  /** Of as many, after `WARM_TASKS` others; where that would take minutes it is not measured. */
  readonly warm?: TaskCpu;
}

/** CPU time for one task. */
export interface TaskCpu {
  /** The daemon itself, all its threads. */
  readonly daemonMs: number;
  readonly natsMs: number;
}

/** After so many, V8 has compiled what a task needs: its threads for that are idle. */
const WARM_TASKS = 1_500;

/**
 * `true` in a container without network, so many at a time: by Podman's own command line, by crun alone
 * with Podman's recipe, and as podmesh tasks in both lanes, one after the other on the same machine.
 */
export async function containers(count: number, parallel: number): Promise<ContainerFigures> {
  const slow = Math.ceil(count / 5);
  return {
    podman: slow / (await podmanRuns(slow, parallel)),
    rawCrun: count / (await rawCrun(IMAGE, count, parallel)),
    podmesh: {
      podman: await podmesh('podman', slow, parallel),
      crun: await podmesh('crun', count, parallel),
    },
  };
}

async function podmanRuns(count: number, jobs: number): Promise<number> {
  const command = `seq ${count} | parallel -j${jobs} podman run --rm --network none ${IMAGE} true '#'`;
  return timed(() => run('sh', ['-c', command]));
}

/** A real daemon on a home of its own; from the publication to the end of the run. */
async function podmesh(lane: RuntimeName, count: number, parallel: number): Promise<LaneFigures> {
  const home = await mkdtemp(join(tmpdir(), 'podmesh-bench-home-'));
  const main = fileURLToPath(import.meta.resolve('@podmesh/daemon/main'));
  const words = ['--home', home, '--runtime', lane];
  const daemon = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'pipe', 'ignore'] });
  let connection: MeshConnection | undefined;
  try {
    const [line] = await once(createInterface({ input: daemon.stdout }), 'line');
    const { nats } = JSON.parse(String(line)) as { nats: string };
    connection = await connectMesh({ url: await addressOf(nats), name: 'bench' });
    const mesh = openMesh(connection);
    // The first one asks Podman for the recipe.
    await succeed(mesh, lane, parallel, parallel);
    const tasks = () => succeed(mesh, lane, count, parallel);
    const { seconds, cpu: fresh } = await measured(daemon.pid, count, tasks);
    const figures = { perSecond: count / seconds, fresh };
    if (lane === 'podman') return figures;
    await succeed(mesh, lane, WARM_TASKS, parallel);
    return { ...figures, warm: (await measured(daemon.pid, count, tasks)).cpu };
  } finally {
    await connection?.close();
    daemon.kill('SIGTERM');
    if (daemon.exitCode === null) await once(daemon, 'exit');
    await rm(home, { recursive: true, force: true });
  }
}

async function measured(
  daemon: number | undefined,
  count: number,
  tasks: () => Promise<number>,
): Promise<{ seconds: number; cpu: TaskCpu }> {
  const before = await cpuMsOf(daemon);
  const seconds = await tasks();
  const after = await cpuMsOf(daemon);
  const daemonMs = (after.own - before.own) / count;
  return { seconds, cpu: { daemonMs, natsMs: (after.nats - before.nats) / count } };
}

/** Seconds until all of them have succeeded, so many at a time by what each asks for. */
async function succeed(mesh: Mesh, lane: RuntimeName, count: number, parallel: number) {
  const needs = { cpus: availableParallelism() / parallel };
  const job = { id: 't', container: IMAGE, command: ['true'], count, cache: false };
  const graph = parseGraph({ version: 1, jobs: [{ ...job, runtime: lane, needs }] }, sha256);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error));
  const { seconds, events } = await runGraph(mesh, graph.value);
  const end = events.at(-1)?.event;
  if (end?.kind !== 'run-ended' || end.state !== 'succeeded') throw new Error('the run failed');
  return seconds;
}

/** As a person of this machine would connect. */
async function addressOf(mesh: string): Promise<string | MeshAddress> {
  const folder = folderOfMeshUrl(mesh);
  return folder === undefined ? mesh : await memberAddress(new MeshFolder(folder), ['user']);
}

/** CPU time of the daemon, all threads, without what it started; and of its nats-server. */
async function cpuMsOf(daemon: number | undefined): Promise<{ own: number; nats: number }> {
  const children = await readFile(`/proc/${daemon}/task/${daemon}/children`, 'utf8');
  let nats = 0;
  for (const child of children.trim().split(' ')) {
    const name = await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '');
    if (name.startsWith('nats-server')) nats += await processCpuMs(child);
  }
  return { own: await processCpuMs(String(daemon)), nats };
}

/** A tick of the kernel's books, on every Linux there is. */
const TICK_MS = 10;

async function processCpuMs(pid: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [user = 0, system = 0] = text.slice(text.lastIndexOf(')')).split(' ').slice(12).map(Number);
  return (user + system) * TICK_MS;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}
