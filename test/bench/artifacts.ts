import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { BenchMesh } from './bench-mesh.ts';

const MIB = 1024 * 1024;
const ROUNDS = 3;
const LARGE_BYTES = 1024 * MIB;
const SHARED_BYTES = 256 * MIB;
const BUSYBOX_PORT = 18_473;
const PROGRAM = fileURLToPath(import.meta.url).replace(
  /artifacts(\.[a-z]+)$/,
  'artifact-process$1',
);

export interface ArtifactFigures {
  /** MiB/s of a transfer between two peers. */
  readonly toStore: number;
  /** MiB/s of curl from static servers, by name. */
  readonly curls: readonly (readonly [string, number])[];
  /** Seconds until the last of so many fetchers has 256 MiB of one peer. */
  readonly shares: readonly { readonly fetchers: number; readonly seconds: number }[];
}

/** Bytes between peers beside `curl` on the same disk, everything in processes of its own. */
export async function artifacts(): Promise<ArtifactFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-bench-artifacts-'));
  const mesh = new BenchMesh();
  try {
    await mesh.start();
    await (await mesh.connect('bench')).stop();
    return { ...(await oneLarge(folder, mesh)), shares: await shared(folder, mesh) };
  } finally {
    await mesh.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function oneLarge(folder: string, mesh: BenchMesh) {
  const file = join(folder, 'large');
  await writeRandom(file, LARGE_BYTES);
  const source = await startPeer(mesh, 'source', join(folder, 'source'));
  const { digest } = await source.ask<{ digest: string }>(`put ${file}`);
  const files = new Child('static', folder);
  const { port } = await files.next<{ port: number }>();
  const busybox = spawn(
    'busybox',
    ['httpd', '-f', '-p', `127.0.0.1:${BUSYBOX_PORT}`, '-h', folder],
    {
      stdio: 'ignore',
    },
  );
  const times = new Map<string, number[]>();
  const note = (name: string, ms: number): void => {
    times.set(name, [...(times.get(name) ?? []), ms]);
    process.stderr.write(`${name}: ${ms.toFixed(0)} ms\n`);
  };
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const into = join(folder, `fetcher-${round}`);
      const fetcher = await startPeer(mesh, `fetcher-${round}`, into);
      await settle(folder);
      const { ms, cpuMs } = await fetcher.ask<Taken>(`get ${digest} ${LARGE_BYTES}`);
      note('podmesh', ms);
      process.stderr.write(`  of which this CPU: ${cpuMs.toFixed(0)} ms\n`);
      await fetcher.end();
      await rm(into, { recursive: true, force: true });
      for (const [name, from] of [
        ['curl from a server of 10 lines of Node', port],
        ['curl from busybox httpd', BUSYBOX_PORT],
      ] as const) {
        const { plainMs, syncedMs } = await curl(`http://127.0.0.1:${from}/large`, folder);
        note(name, plainMs);
        note(`${name}, synced`, syncedMs);
      }
    }
  } finally {
    busybox.kill();
    await files.end();
    await source.end();
    await rm(join(folder, 'source'), { recursive: true, force: true });
    await rm(file, { force: true });
  }
  const speed = (name: string): number =>
    LARGE_BYTES / MIB / (median(times.get(name) ?? []) / 1_000);
  const curls = [...times.keys()].filter((name) => name !== 'podmesh');
  return {
    toStore: speed('podmesh'),
    curls: curls.map((name) => [name, speed(name)] as const),
  };
}

interface Taken {
  readonly ms: number;
  readonly cpuMs: number;
}

/**
 * Nothing is left to be written, and as much memory as the copy needs has just been used: a virtual machine may have
 * to ask its host for memory that nobody used lately, and whoever is measured first would pay for all.
 */
async function settle(folder: string): Promise<void> {
  const file = join(folder, 'settle');
  const handle = await open(file, 'w');
  const piece = Buffer.alloc(16 * MIB);
  for (let at = 0; at < LARGE_BYTES; at += piece.length) await handle.write(piece);
  await handle.close();
  await rm(file);
  execFileSync('sync');
}

/** curl's own time, and until its file is on the disk. */
async function curl(url: string, folder: string) {
  const to = join(folder, 'copy');
  await settle(folder);
  const fromMs = performance.now();
  execFileSync('curl', ['-sf', '-o', to, url]);
  const plainMs = performance.now() - fromMs;
  const file = await open(to, 'r+');
  await file.sync();
  await file.close();
  const syncedMs = performance.now() - fromMs;
  await rm(to);
  return { plainMs, syncedMs };
}

async function shared(folder: string, mesh: BenchMesh) {
  const file = join(folder, 'shared');
  await writeRandom(file, SHARED_BYTES);
  const source = await startPeer(mesh, 'sharer', join(folder, 'sharer'));
  const { digest } = await source.ask<{ digest: string }>(`put ${file}`);
  const shares: { fetchers: number; seconds: number }[] = [];
  for (const fetchers of [1, 8]) {
    const names = Array.from({ length: fetchers }, (_, at) => `of-${fetchers}-${at}`);
    const peers = await Promise.all(names.map((name) => startPeer(mesh, name, join(folder, name))));
    await settle(folder);
    const taken = await Promise.all(
      peers.map((peer) => peer.ask<Taken>(`get ${digest} ${SHARED_BYTES}`)),
    );
    shares.push({ fetchers, seconds: Math.max(...taken.map(({ ms }) => ms)) / 1_000 });
    for (const peer of peers) await peer.end();
    for (const name of names) await rm(join(folder, name), { recursive: true, force: true });
  }
  await source.end();
  return shares;
}

async function startPeer(mesh: BenchMesh, name: string, root: string): Promise<Child> {
  const child = new Child('peer', mesh.url, name, root);
  await child.next();
  return child;
}

/** An `artifact-process` whose answers are lines. */
class Child {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  constructor(...words: readonly string[]) {
    this.#process = spawn(process.execPath, [PROGRAM, ...words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#reader = createInterface({ input: this.#process.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  async next<Answer>(): Promise<Answer> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('an artifact process ended');
    return JSON.parse(line.value) as Answer;
  }

  ask<Answer>(order: string): Promise<Answer> {
    this.#process.stdin.write(`${order}\n`);
    return this.next();
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin.end();
    await ended;
    this.#reader.close();
  }
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w');
  for (let at = 0; at < bytes; at += 16 * MIB) await file.write(randomBytes(16 * MIB));
  await file.close();
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
