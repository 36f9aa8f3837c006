import { execFile } from 'node:child_process';
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const CGROUPS = '/sys/fs/cgroup';
/** How deep below the root of cgroups those of attempts are looked for. */
const DEPTH_MAX = 4;
const COMMAND_MS = 240_000;

/** Every process in the network of this one, but for itself: all that a machine runs outside of containers. */
export async function processesBeside(pid: number): Promise<readonly number[]> {
  const network = await readlink(`/proc/${pid}/ns/net`);
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const networks = await Promise.all(
    names.map((name) => readlink(`/proc/${name}/ns/net`).catch(() => '')),
  );
  return names.map(Number).filter((other, at) => networks[at] === network && other !== pid);
}

/** To all of them; those that are gone already do not mind. */
export async function signalBeside(pid: number, signal: NodeJS.Signals): Promise<void> {
  for (const other of await processesBeside(pid)) {
    try {
      process.kill(other, signal);
    } catch {
      // It ended while we looked.
    }
  }
}

/** SIGKILL for all of them, again and again until nobody is left who could have started another. */
export async function killBeside(pid: number): Promise<void> {
  while ((await processesBeside(pid)).length > 0) await signalBeside(pid, 'SIGKILL');
}

/** SIGKILL for what runs in the containers of a peer, in both lanes, where they have cgroups of their own. */
export async function killContainersOf(peer: string): Promise<void> {
  for (const cgroup of await cgroupsOf(peer, CGROUPS, DEPTH_MAX))
    await writeFile(join(cgroup, 'cgroup.kill'), '1').catch(() => undefined);
}

async function cgroupsOf(peer: string, folder: string, depth: number): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of entries.filter((one) => one.isDirectory())) {
    const path = join(folder, entry.name);
    const isOurs = [`podmesh-${peer}-`, `podmesh-crun.${peer}.`].some((prefix) =>
      entry.name.startsWith(prefix),
    );
    if (isOurs) found.push(path);
    else if (depth > 1) found.push(...(await cgroupsOf(peer, path, depth - 1)));
  }
  return found;
}

/** Takes away what is mounted below a folder, the last one first, as the namespaces of `under` see it. */
export async function unmountBelow(
  { under, pid }: { readonly under: readonly string[]; readonly pid: number },
  folder: string,
): Promise<void> {
  const lines = (await readFile(`/proc/${pid}/mountinfo`, 'utf8')).split('\n');
  const places = lines.map((line) => line.split(' ')[4] ?? '');
  const below = places.filter((place) => place.startsWith(`${folder}/`)).reverse();
  const [program = '', ...words] = under;
  for (const place of below)
    await promisify(execFile)(program, [...words, 'umount', '--lazy', place], {
      timeout: COMMAND_MS,
    }).catch(() => undefined);
}
