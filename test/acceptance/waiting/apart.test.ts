import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NOTES_TRANSFERS, transfersOf } from '../../process-kit/daemon-log.ts';
import type { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { HubNetwork, type Leaf } from '../../process-kit/hub-network.ts';
import {
  expectReadWell,
  LARGE_BYTES,
  madeAndRead,
  placed,
  untilMade,
} from '../../process-kit/large-artifact.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';

const MINUTES = 60_000;
const problem = await HubNetwork.problem();
if (problem !== undefined) console.log(`skipped, since no networks can be made here: ${problem}`);

describe.skipIf(problem !== undefined)('two peers that reach the server and not each other', () => {
  let cluster: ProcessMesh;
  let network: HubNetwork;
  let leaves: readonly [Leaf, Leaf];
  let peers: readonly [DaemonProcess, DaemonProcess];

  const addPeer = (name: string, { under, env, nats }: Leaf) =>
    cluster.addPeer(name, {
      // Root of a user namespace, and nobody outside of it.
      words: [...placed(name), '--allow-root'],
      env: { ...env, ...NOTES_TRANSFERS },
      under,
      nats,
    });

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    network = await HubNetwork.start(cluster.server.url);
    leaves = [await network.addLeaf(), await network.addLeaf()];
    peers = await Promise.all([addPeer('ann', leaves[0]), addPeer('bob', leaves[1])]);
  }, 8 * MINUTES);

  afterAll(async () => {
    await cluster.stop();
    await network.stop();
  }, 8 * MINUTES);

  it('are told where the other would be found, in vain', async () => {
    const entries = await cluster.mesh.peers.list();
    const [ann, bob] = peers.map(({ name }) => {
      const [url = ''] = entries.find(({ peer }) => peer === name)?.bulk?.urls ?? [];
      return new URL(url);
    });
    expect(ann?.hostname).toBe(leaves[0].address);
    expect(bob?.hostname).toBe(leaves[1].address);
    const reached = await Promise.all([
      leaves[1].reaches(bob),
      leaves[0].reaches(new URL(leaves[0].nats)),
      leaves[0].reaches(bob),
      leaves[1].reaches(ann),
    ]);
    expect(reached).toEqual([true, true, false, false]);
  });

  it.each([
    ['ann', 'bob'],
    ['bob', 'ann'],
  ])(
    'give what %s made to %s through the server',
    async (maker, reader) => {
      const run = await cluster.publish(madeAndRead(maker, reader));
      await expectReadWell(run);
      const [ann, bob] = peers;
      const [from, to] = maker === 'ann' ? [ann, bob] : [bob, ann];
      expect(await transfersOf(to, await untilMade(run)), to.said).toEqual([
        {
          msg: 'got an artifact from other peers',
          directBytes: 0,
          relayedBytes: LARGE_BYTES,
          from: [from.name],
        },
      ]);
    },
    15 * MINUTES,
  );
});
