import { type Claimed, type Offer, type PeerDirectory, peerId } from '@podmesh/core';
import {
  freshLane,
  freshRun,
  sampleFailed,
  sampleOffer,
  samplePeer,
  sampleStarted,
} from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { newBench, silent } from '../daemon.test-kit.ts';
import { RefusedOffers } from './refused-offers.ts';

/** An offer that somebody started under the same message, and what became of it. */
function newCase(holds = false, isDirectoryWhole = () => true) {
  const { mesh, ports } = newBench();
  const offer = sampleOffer(freshRun(), freshLane());
  const started = sampleStarted(offer.run, offer.task);
  const done: string[] = [];
  const claimed: Claimed<Offer> = {
    value: offer,
    sequence: started.offerSequence,
    ticket: 'offers:1',
    ack: async () => void done.push('ack'),
    giveBack: async (delayMs) => void done.push(`give back ${delayMs}`),
  };
  const peers: PeerDirectory = ports.peers;
  const parts = { log: ports.log, peers, logger: silent, isDirectoryWhole };
  const refused = new RefusedOffers(parts, () => holds);
  const settle = async () => {
    await refused.settle(claimed);
    return done.splice(0);
  };
  return { mesh, ports, offer, started, settle };
}

describe('an offer whose start was refused', () => {
  it('is forgotten when the attempt is settled', async () => {
    const { mesh, started, settle } = newCase();
    mesh.log.append(started, 0);
    mesh.log.append(sampleFailed(started), 1);
    expect(await settle()).toEqual(['ack']);
  });

  it('is looked at again when nothing newer is there yet', async () => {
    const { settle } = newCase();
    expect(await settle()).toEqual(['give back 2000']);
  });

  it('is left alone when we ourselves are at work on it', async () => {
    const { mesh, started, settle } = newCase(true);
    mesh.log.append(started, 0);
    expect(await settle()).toEqual([]);
  });

  it('waits while the mesh is back from an absence and its holder may be, too', async () => {
    let isWhole = false;
    const { mesh, started, settle } = newCase(false, () => isWhole);
    mesh.log.append(started, 0);
    expect(await settle()).toEqual(['give back 5000']);
    expect(await settle()).toEqual(['give back 5000']);
    isWhole = true;
    expect(await settle()).toEqual(['ack']);
    expect(mesh.log.entries.at(-1)?.event.kind).toBe('attempt-lost');
  });

  it('waits while its holder says it is at work, however often we look', async () => {
    const { mesh, ports, started, settle } = newCase();
    mesh.log.append(started, 0);
    await ports.peers.announce({ ...samplePeer('peer-a'), claims: [started.claim] });
    for (let look = 0; look < 3; look += 1) expect(await settle()).toEqual(['give back 5000']);
  });

  it('gives a holder that did not speak of it one more look', async () => {
    const { mesh, ports, offer, started, settle } = newCase();
    mesh.log.append(started, 0);
    await ports.peers.announce(samplePeer('peer-a'));
    expect(await settle()).toEqual(['give back 5000']);
    expect(mesh.log.entries).toHaveLength(1);
    expect(await settle()).toEqual(['ack']);
    expect(mesh.log.lastOfTask(offer.run, offer.task)?.event).toMatchObject({
      kind: 'attempt-lost',
      claim: started.claim,
      peer: peerId('peer-a'),
    });
  });

  it('whose holder is gone is declared lost at once, and only once', async () => {
    const { mesh, started, settle } = newCase();
    mesh.log.append(started, 0);
    expect(await settle()).toEqual(['ack']);
    expect(await settle()).toEqual(['ack']);
    expect(mesh.log.entries.map(({ event }) => event.kind)).toEqual([
      'attempt-started',
      'attempt-lost',
    ]);
  });
});
