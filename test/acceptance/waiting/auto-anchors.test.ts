import { openMesh } from '@podmesh/jetstream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { untilSeen } from '../../process-kit/within.ts';
import { untilGeneration, YoungMesh } from '../../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const LOOK_MS = 500;
let young: YoungMesh;

beforeEach(() => {
  young = new YoungMesh();
});
afterEach(() => young.ending.end(), 8 * MINUTES);

it(
  'with --auto-anchors three machines become anchors by themselves, and another one in the place of one that is gone',
  async () => {
    await young.start({ PODMESH_AUTO_ANCHORS_MS: '10000' }, ['--auto-anchors']);
    const [ann, bob, cid] = young.peers;
    if (ann === undefined || bob === undefined || cid === undefined) throw new Error('nobody');
    const connection = await young.connect();
    expect(await untilGeneration(connection, 2)).toBe(3);
    const dan = await young.add('dan');
    await young.pullThePlug(cid);
    expect(await untilGeneration(connection, 3)).toBe(3);
    const roles = JSON.parse(await young.well(ann, 'members', '--json'));
    expect(roles).toMatchObject([
      { name: ann.name, role: 'anchor' },
      { name: bob.name, role: 'anchor' },
      { name: cid.name, role: 'peer' },
      { name: dan.name, role: 'anchor' },
    ]);

    // It was away when it was told, and finds out by itself that it is none any more; as a peer it is welcome.
    await cid.start();
    await untilSeen(
      8 * MINUTES,
      () => `${cid.name} to end its server; ${cid.said.slice(-2_000)}`,
      async () => (await young.seatOf(cid)).kind === 'none',
      LOOK_MS,
    );
    const { peers } = openMesh(connection);
    await untilSeen(
      8 * MINUTES,
      () => `${cid.name} to be a peer`,
      async () => (await peers.list()).some(({ peer }) => peer === cid.name),
      LOOK_MS,
    );
    expect(await untilGeneration(connection, 3)).toBe(3);
  },
  15 * MINUTES,
);
