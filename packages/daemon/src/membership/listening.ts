import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bracketed, isLoopback, isWildcard, ownAddresses } from '@podmesh/transfer';
import type { ServeAddress } from '../configuration.ts';

const FILE = 'listen';
/** Where NATS is looked for. */
const PORT = 4222;
/** Addresses of one machine that a line names. */
const ADDRESSES_MAX = 4;
const LOOPBACK: ServeAddress = { host: '127.0.0.1', port: 0 };

/**
 * Where the server of this home lets clients in: as it is said now, or was said last: machines that joined look for it
 * there after every restart, whatever words that was made with.
 */
export async function listenAddress(
  natsFolder: string,
  said: ServeAddress | undefined,
): Promise<ServeAddress> {
  const path = join(natsFolder, FILE);
  if (said === undefined) {
    const kept = (await readFile(path, 'utf8').catch(() => '')).trim();
    const [, host, port] = /^(\S+) (\d+)$/.exec(kept) ?? [];
    return host === undefined ? LOOPBACK : { host, port: Number(port) };
  }
  const isOpen = !isLoopback(said.host);
  const wanted = isOpen && said.port === 0 ? { ...said, port: PORT } : said;
  await mkdir(natsFolder, { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, `${wanted.host} ${wanted.port}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return wanted;
}

/** Where other machines find a server that listens there; empty where none can. */
export function reachableAt({ host }: ServeAddress, port: number): readonly string[] {
  if (isLoopback(host)) return [];
  const hosts = isWildcard(host) ? ownAddresses().slice(0, ADDRESSES_MAX) : [host];
  return hosts.map((one) => `${bracketed(one)}:${port}`);
}
