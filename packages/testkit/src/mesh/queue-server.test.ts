import { LEASE_MS } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { type QueueMessage, QueueServer } from './queue-server.ts';

function queue() {
  const clock = new VirtualClock();
  const server = new QueueServer<string>('q', clock, {
    partitionOf: () => 'all',
    groupOf: (value) => value,
  });
  const got: { readonly sequence: number; readonly atMs: number }[] = [];
  const deliver = ({ sequence }: QueueMessage<string>) => {
    got.push({ sequence, atMs: clock.nowMs() });
  };
  const pull = (wanted: number, waitMs = 1_000_000) => {
    const request = { partition: 'all', wanted, expiresMs: 0, deliver };
    server.pull(request, waitMs);
    return request;
  };
  return { clock, server, got, pull };
}

const sequences = (got: readonly { readonly sequence: number }[]) =>
  got.map(({ sequence }) => sequence);

describe('QueueServer', () => {
  it('delivers again when the lease ends, before newer messages', async () => {
    const { clock, server, got, pull } = queue();
    server.publish('a');
    server.publish('b');
    pull(1);
    await clock.run(LEASE_MS);
    pull(2);
    expect(got).toEqual([
      { sequence: 1, atMs: 0 },
      { sequence: 1, atMs: LEASE_MS },
      { sequence: 2, atMs: LEASE_MS },
    ]);
  });

  it('counts the lease from the last extension', async () => {
    const { clock, server, got, pull } = queue();
    server.publish('a');
    pull(2);
    await clock.run(10_000);
    server.extend(1);
    await clock.run(60_000);
    expect(got.at(-1)).toEqual({ sequence: 1, atMs: 10_000 + LEASE_MS });
  });

  it('lets an extension override a delayed nak, as NATS does', async () => {
    const { clock, server, got, pull } = queue();
    server.publish('a');
    pull(2);
    server.nak(1, 1_000);
    await clock.run(500);
    server.extend(1);
    await clock.run(60_000);
    expect(got.at(-1)).toEqual({ sequence: 1, atMs: 500 + LEASE_MS });
  });

  it('deletes what a zombie acknowledges, although another works on it', async () => {
    const { clock, server, got, pull } = queue();
    server.publish('a');
    pull(2);
    await clock.run(LEASE_MS);
    expect(sequences(got)).toEqual([1, 1]);
    server.ack(1);
    expect(server.all()).toEqual([]);
    await clock.run(10 * LEASE_MS);
    expect(got).toHaveLength(2);
  });

  it('delivers everything in flight again at once when it restarts', () => {
    const { server, got, pull } = queue();
    for (const value of ['a', 'b', 'c']) server.publish(value);
    pull(2);
    server.restart();
    pull(3);
    expect(sequences(got)).toEqual([1, 2, 1, 2, 3]);
  });

  it('forgets pulls that expired, were cancelled or are full', async () => {
    const { clock, server, got, pull } = queue();
    pull(1, 100);
    server.cancelPull(pull(1));
    pull(1);
    await clock.run(200);
    for (const value of ['a', 'b']) server.publish(value);
    expect(sequences(got)).toEqual([1]);
  });

  it('ignores what is settled already', async () => {
    const { clock, server, got, pull } = queue();
    server.publish('a');
    pull(1);
    server.ack(1);
    server.ack(1);
    server.nak(1, 0);
    server.extend(1);
    pull(1);
    await clock.run(10 * LEASE_MS);
    expect(got).toHaveLength(1);
  });

  it('loses and doubles shares of what it holds', () => {
    const { server, got, pull } = queue();
    for (let index = 0; index < 100; index += 1) server.publish('same');
    pull(50);
    const random = new Random('share');
    const lost = server.lose(0.5, random);
    expect(server.all()).toHaveLength(100 - lost);
    expect(server.groupMembers('same')).toHaveLength(100 - lost);
    const doubled = server.duplicate(1, random);
    expect(server.all()).toHaveLength(2 * doubled);
    server.discard('same');
    expect(server.all()).toEqual([]);
    expect(got).toHaveLength(50);
  });
});
