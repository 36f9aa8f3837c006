import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Graph, parseGraph, peerId, type RunId, runId, sessionId } from '@podmesh/core';
import { Peer, type PeerFacts, type PeerParts, sha256, systemClock } from '@podmesh/daemon';
import {
  connectMesh,
  EmbeddedNatsServer,
  loadGraph,
  type Mesh,
  openMesh,
} from '@podmesh/jetstream';
import pino from 'pino';
import { idleRuntime, noFiles, noJournal } from './idle-runtime.ts';

/** A real nats-server that syncs every fact to disk, and real peers in this process. */
export class BenchMesh {
  readonly #stops: (() => Promise<void>)[] = [];
  #url = '';

  get url(): string {
    return this.#url;
  }

  async start(): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'podmesh-bench-'));
    this.#stops.push(() => rm(directory, { recursive: true, force: true }));
    const server = new EmbeddedNatsServer({ directory: join(directory, 'nats'), env: process.env });
    this.#stops.push(() => server.stop());
    await server.start();
    this.#url = server.url;
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
  }

  async connect(name: string): Promise<Mesh> {
    const connection = await connectMesh({ url: this.#url, name });
    await connection.ensureStreams({ replicas: 1 });
    const mesh = openMesh(connection);
    this.#stops.push(async () => {
      await mesh.stop();
      await connection.close();
    });
    return mesh;
  }

  /** A peer whose containers cost nothing; with `cores` 0 it only drives. */
  async addPeer(name: string, cores: number): Promise<void> {
    await this.#add(await this.connect(name), name, cores);
  }

  /** A peer that only works: its queue of drives is always empty. */
  async addWorker(name: string, cores: number): Promise<void> {
    const mesh = await this.connect(name);
    const drives: Mesh['drives'] = {
      publish: (run) => mesh.drives.publish(run),
      waiting: () => mesh.drives.waiting(),
      pull: (_limit, waitMs, signal) => nothing(systemClock.sleep(waitMs, signal)),
    };
    await this.#add({ ...mesh, drives }, name, cores);
  }

  async #add(mesh: Mesh, name: string, cores: number): Promise<void> {
    const peer = new Peer(idlePeerParts(mesh, name, cores), idleCapacity(cores));
    this.#stops.push(() => peer.stop());
    await peer.start();
  }
}

async function* nothing(wait: Promise<void>): AsyncIterable<never> {
  await wait;
  yield* [];
}

export const idleCapacity = (cores: number) => ({
  cpus: cores,
  memoryBytes: 2 ** 50,
  diskBytes: 2 ** 50,
  gpus: 0,
});

export function idlePeerParts(mesh: Mesh, name: string, cores: number): PeerParts {
  const facts: PeerFacts = {
    version: '0',
    machine: {
      hostname: name,
      kernel: '0',
      arch: 'amd64',
      os: 'linux',
      cpuModel: 'none',
      cores,
      memoryBytes: 2 ** 50,
      podmanVersion: '0',
    },
    hardware: { cpuFlags: [], gpus: [], battery: false },
    labels: [],
    capacity: idleCapacity(cores),
    images: {},
    limits: { memory: 'watched', cpus: 'none', pids: 'watched', disk: 'watched' },
    runtimes: ['podman'],
    ...(cores === 0 ? { paused: 'only drives' } : {}),
  };
  let ids = 0;
  const randomId = () => {
    ids += 1;
    return `${name}-${ids}`;
  };
  return {
    ...mesh,
    objects: mesh.artifacts,
    log: mesh.runLog,
    runtime: idleRuntime,
    files: noFiles,
    journal: noJournal,
    peer: peerId(name),
    session: sessionId(`${name}-1`),
    clock: systemClock,
    sha256,
    randomId,
    logger: pino({ level: 'warn' }),
    loadGraph: (published) => loadGraph(mesh.artifacts, published),
    describe: () => facts,
  };
}

/** A graph of these jobs, all with the same idle container. */
export function graphOf(jobs: readonly object[]): Graph {
  const named = jobs.map((job) => ({ container: 'localhost/idle:1', ...job }));
  const graph = parseGraph({ version: 1, jobs: named }, sha256);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error));
  return graph.value;
}

export function newRunId(): RunId {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
  const pick = () => letters[Math.floor(Math.random() * letters.length)];
  return runId(Array.from({ length: 12 }, pick).join(''));
}
