import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ArtifactChild } from './artifact-child.ts';
import type { BenchMesh } from './bench-mesh.ts';
import { cpuOf } from './process-cpu.ts';
import { writeRandom } from './random-file.ts';
import { settle } from './settle.ts';

const SHARED_BYTES = 256 * 1024 * 1024;
const FETCHERS = [1, 8];

export interface Sharing {
  readonly fetchers: number;
  /** What each peer, the source too, can give to others; 0: whatever it can. */
  readonly uplinkMiB: number;
  /** Until the last of them has 256 MiB of one peer. */
  readonly seconds: number;
  /** Of all peers. */
  readonly cpuSeconds: number;
}

/**
 * One peer's 256 MiB to one peer and to eight at once; first where each peer's uplink is the limit, as between machines,
 * then without one, where all share the cores of one machine.
 */
export async function shared(folder: string, mesh: BenchMesh): Promise<readonly Sharing[]> {
  const sharings: Sharing[] = [];
  for (const uplinkMiB of [16, 0]) {
    for (const fetchers of FETCHERS) {
      sharings.push(await share(folder, mesh, { fetchers, uplinkMiB }));
      process.stderr.write(`${JSON.stringify(sharings.at(-1))}\n`);
    }
  }
  return sharings;
}

async function share(
  folder: string,
  mesh: BenchMesh,
  { fetchers, uplinkMiB }: { readonly fetchers: number; readonly uplinkMiB: number },
): Promise<Sharing> {
  const file = join(folder, 'shared');
  await writeRandom(file, SHARED_BYTES);
  const names = ['sharer', ...Array.from({ length: fetchers }, (_, at) => `fetcher-${at}`)];
  const root = (name: string) => join(folder, `${name}-of-${fetchers}-${uplinkMiB}`);
  const peers = await Promise.all(
    names.map((name) => ArtifactChild.peer(mesh, name, root(name), uplinkMiB)),
  );
  const [source, ...others] = peers;
  if (source === undefined) throw new Error('broken invariant: no source');
  const { digest } = await source.ask<{ digest: string }>(`put ${file}`);
  await settle(folder, fetchers * SHARED_BYTES);
  const cpu = () => peers.reduce((sum, { pid }) => sum + cpuOf(pid), 0);
  const before = cpu();
  const taken = await Promise.all(
    others.map((peer) => peer.ask<{ ms: number }>(`get ${digest} ${SHARED_BYTES}`)),
  );
  const cpuSeconds = cpu() - before;
  for (const peer of peers) await peer.end();
  for (const name of names) await rm(root(name), { recursive: true, force: true });
  await rm(file, { force: true });
  return {
    fetchers,
    uplinkMiB,
    seconds: Math.max(...taken.map(({ ms }) => ms)) / 1_000,
    cpuSeconds,
  };
}
