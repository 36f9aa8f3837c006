import type { ClaimTicket } from '@podmesh/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ChangingMember } from './changing-member.ts';
import { connectMesh } from './connect-mesh.ts';
import { pushTrust } from './push-trust.ts';
import { TestServer } from './test-server.test-kit.ts';
import { ThreadedLeaseKeeper } from './threaded-lease-keeper.ts';

const CONNECT_MS = 20_000;
/** A question that every member may ask, as each extension of a claim is one. */
const TICKET = '$JS.API.INFO' as ClaimTicket;
let server: TestServer;

beforeEach(async () => {
  server = await TestServer.startTrusted();
});
afterEach(() => server.remove());

async function memberOf(role: 'peer' | 'anchor', name: string) {
  const address = await server.address(role, name);
  if (address.member === undefined) throw new Error('no member');
  return { address, member: address.member };
}

test('an anchor whose credentials are taken back goes on as the peer that it became, and so do its claims', async () => {
  const [anchor, peer] = [await memberOf('anchor', 'bob'), await memberOf('peer', 'bob')];
  const member = new ChangingMember(anchor.member);
  const url = { ...anchor.address, member };
  const mesh = await connectMesh({ url, name: 'bob', timeoutMs: CONNECT_MS });
  const leases = new ThreadedLeaseKeeper(mesh, { extendMs: 100 });
  try {
    expect(mesh.isKeeper).toBe(true);
    const lease = leases.keep(TICKET, () => undefined);
    await expect.poll(() => leases.counts().confirmed).toBeGreaterThan(0);
    const cut = new Promise<void>((resolve) => {
      mesh.onStatus(({ kind }) => {
        if (kind === 'disconnected') resolve();
      });
    });
    member.become(peer.member);
    expect(await server.authority.revoke('bob', 'anchor')).toHaveLength(1);
    await pushTrust(await server.address('system', 'looker'), await server.authority.serverTrust());
    await cut;
    await mesh.untilConnected(CONNECT_MS);
    expect([mesh.isKeeper, mesh.member]).toEqual([false, 'bob']);
    await mesh.request(TICKET, '', { timeoutMs: CONNECT_MS });
    const { confirmed } = leases.counts();
    await expect.poll(() => leases.counts().confirmed).toBeGreaterThan(confirmed + 2);
    expect(leases.counts().lost).toBe(0);
    lease.release();
  } finally {
    await leases.stop();
    await mesh.close();
  }
});

test('nobody becomes somebody of another name', async () => {
  const [bob, cid] = [await memberOf('anchor', 'bob'), await memberOf('peer', 'cid')];
  const member = new ChangingMember(bob.member);
  expect(() => member.become(cid.member)).toThrow('bob cannot become cid');
  expect(member.role).toBe('anchor');
});
