import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ArtifactChild } from './artifact-child.ts';
import { type Sharing, shared } from './artifact-sharing.ts';
import { BenchMesh } from './bench-mesh.ts';
import { cpuOf, cpuOfEnded, peakMiB } from './process-cpu.ts';
import { writeRandom } from './random-file.ts';
import { settle } from './settle.ts';

const MIB = 1024 * 1024;
const ROUNDS = 5;
const LARGE_BYTES = 1024 * MIB;
const BUSYBOX_PORT = 18_473;
const NODE = 'curl from a server of 10 lines of Node';
const BUSYBOX = 'curl from busybox httpd';

/** One copy of 1 GiB. */
interface Taken {
  readonly seconds: number;
  /** CPU of both sides. */
  readonly cpuSeconds: number;
}

export interface OneLarge {
  readonly name: string;
  readonly mibPerS: number;
  readonly cpuSeconds: number;
  /** podmesh / this: the median of the ratios of each round. */
  readonly throughputRatio: number;
  readonly cpuRatio: number;
}

export interface ArtifactFigures {
  readonly large: readonly OneLarge[];
  /** The most memory of the peer that fetched, and of the one that served, in MiB. */
  readonly peakMiB: { readonly fetcher: number; readonly source: number };
}

/** Bytes between peers beside `curl` on the same disk, everything in processes of its own. */
export function artifacts(): Promise<ArtifactFigures> {
  return withMesh(oneLarge);
}

/** What many take who fetch the same at the same time. */
export function sharing(): Promise<readonly Sharing[]> {
  return withMesh(shared);
}

async function withMesh<Figures>(
  measure: (folder: string, mesh: BenchMesh) => Promise<Figures>,
): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-bench-artifacts-'));
  const mesh = new BenchMesh();
  try {
    await mesh.start();
    await (await mesh.connect('bench')).stop();
    return await measure(folder, mesh);
  } finally {
    await mesh.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function oneLarge(folder: string, mesh: BenchMesh): Promise<ArtifactFigures> {
  const file = join(folder, 'large');
  await writeRandom(file, LARGE_BYTES);
  const source = await ArtifactChild.peer(mesh, 'source', join(folder, 'source'));
  const { digest } = await source.ask<{ digest: string }>(`put ${file}`);
  const files = new ArtifactChild('static', folder);
  const { port } = await files.next<{ port: number }>();
  const words = ['httpd', '-f', '-p', `127.0.0.1:${BUSYBOX_PORT}`, '-h', folder];
  const busybox = spawn('busybox', words, { stdio: 'ignore' });
  const rounds: Map<string, Taken>[] = [];
  const peaks = { fetcher: 0, source: 0 };
  const podmesh = async (taken: Map<string, Taken>, name: string): Promise<void> => {
    const into = join(folder, name);
    const fetcher = await ArtifactChild.peer(mesh, name, into);
    await settle(folder, LARGE_BYTES);
    const cpu = () => cpuOf(fetcher.pid) + cpuOf(source.pid);
    const before = cpu();
    const { ms } = await fetcher.ask<{ ms: number }>(`get ${digest} ${LARGE_BYTES}`);
    taken.set('podmesh', { seconds: ms / 1_000, cpuSeconds: cpu() - before });
    peaks.fetcher = Math.max(peaks.fetcher, peakMiB(fetcher.pid));
    peaks.source = peakMiB(source.pid);
    await fetcher.end();
    await rm(into, { recursive: true, force: true });
  };
  const curl = async (
    taken: Map<string, Taken>,
    name: string,
    url: string,
    pid: number,
  ): Promise<void> => {
    const to = join(folder, 'copy');
    await settle(folder, LARGE_BYTES);
    const cpu = () => cpuOfEnded() + cpuOf(pid);
    const before = cpu();
    const fromMs = performance.now();
    execFileSync('curl', ['-sf', '-o', to, url]);
    const plainMs = performance.now() - fromMs;
    const cpuSeconds = cpu() - before;
    const file = await open(to, 'r+');
    await file.sync();
    await file.close();
    const syncedMs = performance.now() - fromMs;
    await rm(to);
    taken.set(name, { seconds: plainMs / 1_000, cpuSeconds });
    taken.set(`${name}, synced`, { seconds: syncedMs / 1_000, cpuSeconds });
  };
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const taken = new Map<string, Taken>();
      const ways: (() => Promise<void>)[] = [
        () => podmesh(taken, `fetcher-${round}`),
        () => curl(taken, NODE, `http://127.0.0.1:${port}/large`, files.pid),
        () => curl(taken, BUSYBOX, `http://127.0.0.1:${BUSYBOX_PORT}/large`, busybox.pid ?? 0),
      ];
      // Whoever is first or last may have it easier.
      for (let at = 0; at < ways.length; at += 1) await ways[(at + round) % ways.length]?.();
      for (const [name, { seconds, cpuSeconds }] of taken)
        process.stderr.write(`${name}: ${seconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s\n`);
      rounds.push(taken);
    }
  } finally {
    busybox.kill();
    await files.end();
    await source.end();
    await rm(join(folder, 'source'), { recursive: true, force: true });
    await rm(file, { force: true });
  }
  const names = [...(rounds[0]?.keys() ?? [])];
  return { large: names.map((name) => figuresOf(name, rounds)), peakMiB: peaks };
}

function figuresOf(name: string, rounds: readonly ReadonlyMap<string, Taken>[]): OneLarge {
  const of = (what: keyof Taken, whose = name) =>
    rounds.map((taken) => taken.get(whose)?.[what] ?? Number.NaN);
  const ratios = (what: keyof Taken) => {
    const its = of(what);
    return median(of(what, 'podmesh').map((ours, round) => ours / (its[round] ?? Number.NaN)));
  };
  return {
    name,
    mibPerS: LARGE_BYTES / MIB / median(of('seconds')),
    cpuSeconds: median(of('cpuSeconds')),
    throughputRatio: 1 / ratios('seconds'),
    cpuRatio: ratios('cpuSeconds'),
  };
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
