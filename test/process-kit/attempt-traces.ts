import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findContainers } from './podman-containers.ts';
import { untilSeen } from './within.ts';

const GONE_MS = 240_000;
const LOOK_MS = 100;

/** Resolves when nothing is left of any attempt of a daemon that runs: container, mount, file. */
export async function untilNoTraces(home: string, peer: string): Promise<void> {
  let left: readonly string[] = [];
  const isClear = async (): Promise<boolean> => {
    left = await tracesOf(home, peer);
    return left.length === 0;
  };
  await untilSeen(GONE_MS, () => `these to be cleared away: ${left.join(', ')}`, isClear, LOOK_MS);
}

async function tracesOf(home: string, peer: string): Promise<readonly string[]> {
  const containers = (await findContainers({ peer })).map(({ id }) => `container ${id}`);
  const files = await Promise.all(
    [join('store', 'scratch'), join('crun', 'run', 'attempts', peer)].map((folder) =>
      listed(join(home, folder)),
    ),
  );
  // Empty whenever no attempt is open.
  const journal = await readFile(join(home, 'attempts', 'journal'), 'utf8').catch(() => '');
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .filter((line) => line.includes(home));
  return [...containers, ...files.flat(), ...(journal === '' ? [] : [journal]), ...mounts];
}

async function listed(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.map((name) => join(folder, name));
}

/** Resolves when nothing runs any more for a home whose daemon has ended. */
export async function untilNoProcesses(home: string): Promise<void> {
  let left: readonly string[] = [];
  const areGone = async (): Promise<boolean> => {
    left = await processesOf(home);
    return left.length === 0;
  };
  await untilSeen(GONE_MS, () => `these to end: ${left.join(', ')}`, areGone, LOOK_MS);
}

/** By their own words. */
async function processesOf(home: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const words = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return words
    .filter((text) => text.includes(home))
    .map((text) => text.replaceAll('\0', ' ').slice(-120));
}
