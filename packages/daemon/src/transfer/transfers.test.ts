import { readFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import {
  type ArtifactId,
  artifactId,
  type ChunkSource,
  type PeerEntry,
  peerId,
  STREAMS_PER_TRANSFER_MAX,
  TRANSFERS_MAX,
} from '@podmesh/core';
import { systemClock, TransferError, Transfers } from '@podmesh/transfer';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  hexOf,
  MemoryDisk,
  Neighbours,
  sampleBytes,
  sourceOf,
} from '../../../transfer/src/transfer.test-kit.ts';
import { newStore } from '../store/store.test-kit.ts';
import { StoreDisk } from '../store/store-disk.ts';

const signal = new AbortController().signal;

describe('an artifact of other peers', () => {
  it('comes whole from several, each chunk once', async () => {
    const { bytes, id } = sampleBytes(7);
    const mesh = new Neighbours();
    for (const name of ['a', 'b', 'c']) await mesh.add(name, sourceOf(bytes), id);
    const disk = new MemoryDisk();
    const transfers = mesh.transfers(disk);
    await transfers.get(id, { signal });
    expect(disk.hasBytes(id, bytes)).toBe(true);
    expect([...disk.puts].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(transfers.underWay).toEqual([]);
    expect(disk.open).toBe(0);
  });

  it('goes from one real store into another, and on to a third', async () => {
    const { bytes, id } = sampleBytes(3);
    const mesh = new Neighbours();
    await mesh.add('a', sourceOf(bytes), id);
    const stores = [await newStore(), await newStore()];
    for (const [at, { store }] of stores.entries()) {
      const disk = new StoreDisk(store);
      await mesh.transfers(disk).get(id, { signal });
      expect(hexOf(await readFile(store.pathOf(id)))).toBe(id.slice('sha256:'.length));
      expect(store.index.holds([id])).toEqual([{ artifact: id, bytes: bytes.length, whole: true }]);
      await mesh.remove(at === 0 ? 'a' : `store-${at - 1}`);
      await mesh.add(`store-${at}`, disk, id);
    }
  });

  it('goes on in a restarted daemon with the chunks that its store has', async () => {
    const { bytes, id } = sampleBytes(7);
    const mesh = new Neighbours();
    const stop = new AbortController();
    const reads: number[] = [];
    const read: ChunkSource['read'] = async ({ index, offset, bytes: length }) => {
      reads.push(index);
      if (reads.length === 6) stop.abort(new Error('ended'));
      return bytes.slice(offset, offset + length);
    };
    await mesh.add('a', sourceOf(bytes, { read }), id);
    const first = await newStore();
    const transfers = mesh.transfers(new StoreDisk(first.store));
    await expect(transfers.get(id, { signal: stop.signal })).rejects.toThrow('ended');
    await transfers.stop();
    const store = await first.next();
    await mesh.transfers(new StoreDisk(store)).get(id, { signal });
    expect(hexOf(await readFile(store.pathOf(id)))).toBe(id.slice('sha256:'.length));
    // Six were asked for, of which four at most can have been on their way.
    expect(reads.filter((index) => index < 2)).toEqual([0, 1]);
    expect(reads.length).toBeLessThanOrEqual(8 + STREAMS_PER_TRANSFER_MAX);
  });

  it('comes from the peers that are hinted at, nobody else being asked', async () => {
    const { bytes, id } = sampleBytes(1);
    const mesh = new Neighbours();
    await mesh.add('hinted', sourceOf(bytes));
    const disk = new MemoryDisk();
    await mesh.transfers(disk).get(id, { signal, hints: [peerId('hinted')], bytes: bytes.length });
    expect(disk.hasBytes(id, bytes)).toBe(true);
  });

  it('comes once for many who want it at the same time', async () => {
    const { bytes, id } = sampleBytes(3);
    const mesh = new Neighbours();
    await mesh.add('a', sourceOf(bytes), id);
    const disk = new MemoryDisk();
    const transfers = mesh.transfers(disk);
    await Promise.all(Array.from({ length: 8 }, () => transfers.get(id, { signal })));
    expect(disk.puts).toHaveLength(4);
  });

  it('comes from another source when one is killed in the middle of a chunk', async () => {
    const { bytes, id } = sampleBytes(5);
    const mesh = new Neighbours();
    await mesh.add('dies', sourceOf(bytes), id);
    await mesh.add('lives', sourceOf(bytes), id);
    const broken = await halfway(mesh.address('dies').urls[0] ?? '');
    mesh.tell('dies', { ...mesh.address('dies'), urls: [broken.url] });
    const disk = new MemoryDisk();
    const transfers = mesh.transfers(disk);
    await transfers.get(id, { signal });
    expect(disk.hasBytes(id, bytes)).toBe(true);
    expect(broken.cut()).toBeGreaterThan(0);
    expect(transfers.underWay).toEqual([]);
  });

  it('blames only the one of three sources that gives a corrupt chunk', async () => {
    const { bytes, id } = sampleBytes(9);
    const mesh = new Neighbours();
    const asked = { good: 0, bad: 0, other: 0 };
    const counting = (name: keyof typeof asked, flip: boolean): ChunkSource =>
      sourceOf(bytes, {
        read: async ({ offset, bytes: length }) => {
          asked[name] += 1;
          const chunk = bytes.slice(offset, offset + length);
          const copy = Buffer.from(chunk);
          if (flip) copy[17] = (copy[17] ?? 0) ^ 1;
          return copy;
        },
      });
    await mesh.add('good', counting('good', false), id);
    await mesh.add('bad', counting('bad', true), id);
    await mesh.add('other', counting('other', false), id);
    const disk = new MemoryDisk();
    const transfers = mesh.transfers(disk);
    await transfers.get(id, { signal });
    expect(disk.hasBytes(id, bytes)).toBe(true);
    expect(asked.bad).toBeGreaterThan(0);
    expect(asked.bad).toBeLessThanOrEqual(4);
    // How many each of them gives depends on how fast it is.
    expect(asked.good).toBeGreaterThan(0);
    expect(asked.other).toBeGreaterThan(0);
    // It is remembered for whatever else is wanted.
    const another = sampleBytes(0);
    mesh.hold('bad', another.id);
    const refused = transfers.get(another.id, { signal });
    await expect(refused).rejects.toMatchObject({ why: 'no-source', retryable: true });
  });

  it('survives a liar whose list is consistent with its bytes', async () => {
    const { bytes, id } = sampleBytes(2);
    const lie = sampleBytes(2).bytes;
    const mesh = new Neighbours();
    await mesh.add('liar', sourceOf(lie));
    await mesh.add('honest', sourceOf(bytes), id);
    mesh.hold('liar', id);
    const disk = new MemoryDisk();
    await mesh.transfers(disk).get(id, { signal, hints: [peerId('liar')] });
    expect(disk.hasBytes(id, bytes)).toBe(true);
    const alone = new Neighbours();
    await alone.add('liar', sourceOf(lie), id);
    const lied = alone.transfers(new MemoryDisk()).get(id, { signal });
    await expect(lied).rejects.toMatchObject({ why: 'corrupt', retryable: true });
  });

  it('goes on where an aborted transfer had ended', async () => {
    const { bytes, id } = sampleBytes(7);
    const mesh = new Neighbours();
    const stop = new AbortController();
    let reads = 0;
    const read: ChunkSource['read'] = async ({ offset, bytes: length }) => {
      reads += 1;
      if (reads === 5) stop.abort(new Error('enough'));
      return bytes.slice(offset, offset + length);
    };
    await mesh.add('a', sourceOf(bytes, { read }), id);
    const disk = new MemoryDisk();
    const transfers = mesh.transfers(disk);
    await expect(transfers.get(id, { signal: stop.signal })).rejects.toThrow('enough');
    // Wanted again at once: what was left has to land before.
    await transfers.get(id, { signal });
    expect(disk.hasBytes(id, bytes)).toBe(true);
    expect(disk.puts).toHaveLength(8);
    expect(transfers.underWay).toEqual([]);
    expect(disk.open).toBe(0);
  });

  it('goes on for those who still want it when others leave', async () => {
    const { bytes, id } = sampleBytes(3);
    const mesh = new Neighbours();
    await mesh.add('a', sourceOf(bytes), id);
    const transfers = mesh.transfers(new MemoryDisk());
    const stop = new AbortController();
    const left = transfers.get(id, { signal: stop.signal });
    const stayed = transfers.get(id, { signal });
    stop.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    await stayed;
  });

  it('that nobody has is no source, at once', async () => {
    const transfers = new Neighbours().transfers(new MemoryDisk());
    const missing = transfers.get(sampleBytes(0).id, { signal });
    await expect(missing).rejects.toThrow(TransferError);
    expect(transfers.underWay).toEqual([]);
  });

  it('fails as the disk does, and holds no slot then', async () => {
    const { bytes, id } = sampleBytes(0);
    const mesh = new Neighbours();
    await mesh.add('a', sourceOf(bytes), id);
    const disk = new MemoryDisk();
    disk.begin = () => Promise.reject(new Error('the disk is full'));
    const transfers = mesh.transfers(disk);
    for (let time = 0; time <= TRANSFERS_MAX; time += 1) {
      await expect(transfers.get(id, { signal })).rejects.toThrow('the disk is full');
    }
    expect(transfers.underWay).toEqual([]);
  });
});

describe('what no other peer has', () => {
  /** Others are listed or not; each question is kept, and nobody has anything. */
  function newTransfers(listed: readonly string[]) {
    const asked: (readonly ArtifactId[])[] = [];
    let lists = 0;
    const now = { ms: 0 };
    const transfers = new Transfers({
      peer: peerId('self'),
      disk: new MemoryDisk(),
      finder: {
        whoHas: async (artifacts) => {
          asked.push(artifacts);
          return { found: new Map(), silent: [] };
        },
      },
      peers: {
        list: async () => {
          lists += 1;
          return listed.map((peer) => ({ peer: peerId(peer) }) as PeerEntry);
        },
      },
      transport: new Neighbours().transport(),
      clock: { ...systemClock, nowMs: () => now.ms },
    });
    return { transfers, asked, now, lists: () => lists };
  }
  const ids = Array.from({ length: 600 }, (_, at) =>
    artifactId(`sha256:${at.toString(16).padStart(64, '0')}`),
  );

  it('is not asked for where nobody else is', async () => {
    const { transfers, asked, lists } = newTransfers(['self']);
    expect(await transfers.nobodyHas(ids, signal)).toEqual(new Set(ids));
    for (const id of ids.slice(0, 3)) {
      await expect(transfers.get(id, { signal })).rejects.toMatchObject({ why: 'no-source' });
    }
    expect(asked).toEqual([]);
    expect(lists()).toBe(1);
  });

  it('is asked for in few questions, and not again for some seconds', async () => {
    const { transfers, asked, now } = newTransfers(['self', 'other']);
    expect(await transfers.nobodyHas(ids, signal)).toEqual(new Set(ids));
    const [id = artifactId('')] = ids;
    await expect(transfers.get(id, { signal })).rejects.toMatchObject({ why: 'no-source' });
    expect(await transfers.nobodyHas(ids, signal)).toEqual(new Set(ids));
    expect(asked.map(({ length }) => length)).toEqual([512, 88]);
    now.ms += 6_000;
    await transfers.nobodyHas([id], signal);
    expect(asked).toHaveLength(3);
  });
});

/** A way to a server that is cut for good after a chunk and a half. */
async function halfway(target: string): Promise<{ readonly url: string; cut: () => number }> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let [passed, cuts] = [0, 0];
  const proxy = createServer((socket) => {
    const onward = connect(Number(port), hostname);
    sockets.add(socket).add(onward);
    for (const end of [socket, onward]) end.on('error', () => undefined);
    socket.pipe(onward);
    onward.on('data', (bytes) => {
      passed += bytes.length;
      if (passed < 6 * 1024 * 1024) {
        socket.write(bytes);
        return;
      }
      cuts += 1;
      proxy.close();
      for (const open of sockets) open.destroy();
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void proxy.close());
  const address = proxy.address();
  if (typeof address !== 'object' || address === null) throw new Error('does not listen');
  return { url: `http://127.0.0.1:${address.port}`, cut: () => cuts };
}
