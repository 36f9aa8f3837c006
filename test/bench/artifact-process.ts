import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { artifactId, type BulkAddress, HEARTBEAT_MS, type PeerEntry, peerId } from '@podmesh/core';
import { BulkExchange, DiskStore, systemClock } from '@podmesh/daemon';
import { connectMesh, openMesh } from '@podmesh/jetstream';
import pino from 'pino';
import { idlePeerParts } from './bench-mesh.ts';
import { limitedUplink } from './limited-uplink.ts';

/**
 * A process of its own for each side of a transfer. `static FOLDER` serves files as simply as Node can;
 * `peer NATS NAME FOLDER [MIB]` is a peer that does nothing but exchange artifacts, over an uplink of so many MiB/s,
 * and does what lines on its standard input say: `put FILE` and `get DIGEST BYTES`, each answered with a line.
 */
const [role, ...words] = process.argv.slice(2);
const tell = (answer: unknown): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
if (role === 'static') serveFiles(words[0] ?? '.');
else await exchange(words);

function serveFiles(folder: string): void {
  const server = createServer((request, response) => {
    const path = join(folder, request.url ?? '');
    void stat(path).then(({ size }) => {
      response.writeHead(200, { 'content-length': size });
      createReadStream(path, { highWaterMark: 1024 * 1024 }).pipe(response);
    });
  });
  server.listen(0, '127.0.0.1', () => tell(server.address()));
  process.stdin.on('end', () => process.exit(0)).resume();
}

async function exchange([
  nats = '',
  name = '',
  root = '',
  uplinkMiB,
]: readonly string[]): Promise<void> {
  const connection = await connectMesh({ url: nats, name });
  const mesh = openMesh(connection);
  const store = new DiskStore(root);
  await store.prepare();
  const parts = {
    peer: peerId(name),
    mesh,
    store,
    clock: systemClock,
    logger: pino({ level: 'silent' }),
    listen: { host: '127.0.0.1', port: 0 },
  };
  const exchanging = new BulkExchange(parts);
  await exchanging.start();
  const bulk = await linked(exchanging.bulk, Number(uplinkMiB ?? 0) * 1024 * 1024);
  const announce = (): Promise<void> => {
    const { session, describe } = idlePeerParts(mesh, name, 1);
    const facts = describe();
    const load = { free: facts.capacity, claims: [], driving: 0 };
    const entry: PeerEntry = { ...facts, ...load, peer: parts.peer, session };
    return mesh.peers.announce(bulk === undefined ? entry : { ...entry, bulk });
  };
  await announce();
  // One that does not get through on a busy machine is made up for by the next.
  setInterval(() => void announce().catch(() => undefined), HEARTBEAT_MS);
  tell('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const [what = '', about = '', bytes] = line.split(' ');
    const before = process.cpuUsage();
    const fromMs = systemClock.nowMs();
    if (what === 'put') {
      tell(await store.write(createReadStream(about, { highWaterMark: 1024 * 1024 })));
      continue;
    }
    const { signal } = new AbortController();
    await exchanging.transfers.get(artifactId(about), { bytes: Number(bytes), signal });
    const { user, system } = process.cpuUsage(before);
    tell({ ms: systemClock.nowMs() - fromMs, cpuMs: (user + system) / 1_000 });
  }
  process.exit(0);
}

/** The same address behind a link of this speed. */
async function linked(
  bulk: BulkAddress | undefined,
  bytesPerS: number,
): Promise<BulkAddress | undefined> {
  if (bulk === undefined || bytesPerS === 0) return bulk;
  const urls = await Promise.all(bulk.urls.map((url) => limitedUplink(url, bytesPerS)));
  return { ...bulk, urls };
}
