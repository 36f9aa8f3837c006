import { type AnchorRecord, type PeerId, peerId } from '@podmesh/core';
import type { AnchorOrder, MeshConnection } from '@podmesh/jetstream';
import { expect, it } from 'vitest';
import { AnchorExchange } from './anchor-exchange.ts';
import { AnchorGathering } from './anchor-gathering.ts';
import type { AnchorSeat } from './anchor-seat.ts';
import type { Seat } from './seat-file.ts';

const RECORD: AnchorRecord = {
  generation: 4,
  cluster: 'c',
  anchors: ['ann', 'bob', 'cid'].map((name) => ({
    peer: peerId(name),
    server: `${name}-server`,
    client: `${name}:4222`,
    route: `${name}:6222`,
  })),
};
const ANN: AnchorRecord = {
  generation: 5,
  anchors: [{ peer: peerId('ann'), server: 'ann-server', client: 'ann:4222' }],
};

/** A mesh of which a test says who answers, who leads, and how many copies it takes. */
function newMesh(there: readonly string[]) {
  const mesh = { there, leader: 'ann-server' as string | undefined, copiesMax: 3 };
  const scaled = new Map<string, number>();
  const info = async (stream: string) => {
    const copies = scaled.get(stream) ?? 3;
    const others = RECORD.anchors.map(({ server }) => server).slice(1, copies);
    const replicas = others.map((name) => ({ name, current: mesh.there.includes(name) }));
    return { config: { num_replicas: copies }, cluster: { leader: mesh.leader, replicas } };
  };
  const update = async (stream: string, { num_replicas: copies }: { num_replicas: number }) => {
    if (copies > mesh.copiesMax) throw new Error('no suitable peers for placement');
    scaled.set(stream, copies);
  };
  const requestMany = async function* () {
    for (const name of mesh.there) {
      const told = { server: { name, ver: '2.15.1' }, data: {} };
      yield { json: () => told };
    }
  };
  const connection = {
    jsm: {
      streams: { info, update },
      consumers: { list: () => ({ next: async () => [] }) },
    },
    nc: { requestMany: async () => requestMany() },
    request: async () => undefined,
    ensureLiveLog: async () => undefined,
    close: async () => undefined,
  } as unknown as MeshConnection;
  return { mesh, scaled, connection };
}

/** Where ann has the keys, and these answer. */
function newGathering({ there, attempt }: { there: readonly string[]; attempt?: AnchorRecord }) {
  const { mesh, scaled, connection } = newMesh(there);
  const happened: string[] = [];
  const seat = {
    peer: peerId('ann'),
    seat: { kind: 'open', record: RECORD, ...(attempt && { attempt }) } as Seat,
    record: RECORD,
    server: undefined,
    servers: { secretOf: async () => 'secret' },
    write: async (said: Seat) => {
      seat.seat = said;
      happened.push(said.kind);
    },
    serve: async () => {
      seat.record = ANN;
      happened.push('serve');
    },
  };
  const troubles: string[] = [];
  const heard: (step: string) => void = (step) => happened.push(step);
  const more = {
    parts: {
      seat: seat as unknown as AnchorSeat,
      connection,
      system: async () => connection,
      order: async (peer: PeerId, order: AnchorOrder) => {
        if (!mesh.there.includes(`${peer}-server`)) throw new Error(`${peer} does not answer`);
        if (order.kind === 'leave') mesh.there = mesh.there.filter((it) => it !== `${peer}-server`);
        happened.push(`${peer} ${order.kind}`);
        return {};
      },
      retire: async (peers: readonly PeerId[]) => {
        happened.push(`retire ${peers}`);
        throw new Error('the disk of the keys is full');
      },
      onStep: (step: string) => heard(step),
      onTrouble: (error: unknown): void => {
        troubles.push(String(error));
      },
      signal: new AbortController().signal,
      now: () => performance.now(),
    },
  };
  const gathering = new AnchorGathering(more.parts);
  return { ...more, mesh, scaled, seat, happened, troubles, gathering };
}

it('takes back what those had who said that they left, and goes on when that fails', async () => {
  const { happened, troubles, gathering, seat } = newGathering({
    there: ['ann-server', 'bob-server'],
  });
  const pausedMs = await gathering.run();
  expect(pausedMs).toBeGreaterThanOrEqual(0);
  expect(happened).toEqual([
    ...['open', 'noted', 'copied', 'gathered', 'decided', 'bob leave', 'left', 'serve'],
    ...['retire bob', 'serving'],
  ]);
  expect(seat.seat).toEqual({ kind: 'gathered', record: ANN, store: 'ann-server' });
  expect(troubles).toEqual(['Error: the disk of the keys is full']);
});

it('is undone without waiting for the copies of one that is gone for good', async () => {
  const attempt = ANN;
  const { gathering, scaled, seat } = newGathering({
    there: ['ann-server', 'bob-server'],
    attempt,
  });
  scaled.set('PM_RUN', 1);
  expect(gathering.isPending).toBe(true);
  await gathering.undo();
  expect(scaled.get('PM_RUN')).toBe(3);
  expect(seat.seat).toEqual({ kind: 'open', record: RECORD });
});

it('where the copies cannot be there without one that is silent, says so, and another may take its place', async () => {
  const attempt = ANN;
  const { gathering, mesh, scaled, seat, parts } = newGathering({
    there: ['ann-server', 'bob-server'],
    attempt,
  });
  scaled.set('PM_RUN', 1);
  mesh.copiesMax = 1;
  let undone: Promise<void> | undefined;
  const told = await new Promise((resolve) => {
    parts.onTrouble = resolve;
    undone = gathering.undo();
    undone.catch(() => undefined);
  });
  expect(String(told)).toContain(
    'there cannot be 3 copies of everything without cid: start it again, or give its place to another',
  );
  expect(gathering.isStuck).toBe(true);
  gathering.interrupt();
  await expect(undone).rejects.toThrow('without cid');
  expect(gathering.isStuck).toBe(false);
  // It is still to be undone, or another change is made of it.
  expect(seat.seat).toEqual({ kind: 'open', record: RECORD, attempt });
  mesh.copiesMax = 3;
  await gathering.run();
  expect(seat.seat.kind).toBe('gathered');
});

it('is undone once there is a place again, and nobody takes another then', async () => {
  const { gathering, mesh, scaled, parts } = newGathering({
    there: ['ann-server', 'bob-server'],
    attempt: ANN,
  });
  scaled.set('PM_RUN', 1);
  mesh.copiesMax = 1;
  parts.onTrouble = () => {
    mesh.copiesMax = 3;
  };
  await gathering.undo();
  expect([gathering.isPending, gathering.isStuck]).toEqual([false, false]);
});

it('ends at once when it is interrupted, and undoes nothing: what is here is rescued', async () => {
  const { gathering, mesh, happened, parts } = newGathering({ there: ['ann-server'] });
  mesh.leader = undefined;
  const { onStep } = parts;
  parts.onStep = (step) => {
    onStep(step);
    gathering.interrupt();
  };
  await expect(gathering.run()).rejects.toThrow('keep the only copy');
  expect(happened).toEqual(['open', 'noted']);
});

it('an exchange that is interrupted while it waits for who joins ends at once, and settles nothing', async () => {
  const { parts, happened, seat } = newGathering({
    there: ['ann-server', 'bob-server', 'dan-server'],
  });
  const exchange = new AnchorExchange({
    ...parts,
    papers: async () => ({}) as never,
    order: async (peer, order) => {
      happened.push(`${peer} ${order.kind}`);
      if (order.kind === 'join') exchange.interrupt();
      const anchor = { peer, server: `${peer}-server`, client: `${peer}:4222` };
      return { anchor, request: {} as never };
    },
  });
  await expect(exchange.run([peerId('dan')], [peerId('cid')])).rejects.toThrow('aborted');
  expect(happened).toEqual(['dan reserve', 'reserved', 'open', 'noted', 'dan join']);
  expect(seat.seat).toMatchObject({ record: RECORD, attempt: { generation: 5 } });
});
