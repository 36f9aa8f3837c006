import { claimId, peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { hasUserSystemd, sliceName, slicePrefix, UserSlices, userCgroup } from './user-slices.ts';

const long = '-'.repeat(64);
const user = userCgroup(1000);

describe('sliceName', () => {
  it('is one level below podmesh.slice, whatever the ids are', () => {
    expect(sliceName(peerId('a-b'), claimId('c-d'))).toMatch(/^podmesh-[0-9a-f]{40}\.slice$/);
    expect(sliceName(peerId(long), claimId(long))).toMatch(/^podmesh-[0-9a-f]{40}\.slice$/);
  });

  it('differs with the peer and with the claim, and not else', () => {
    const name = sliceName(peerId('p'), claimId('c'));
    expect(sliceName(peerId('p'), claimId('c'))).toBe(name);
    expect(sliceName(peerId('p'), claimId('d'))).not.toBe(name);
    expect(sliceName(peerId('q'), claimId('c'))).not.toBe(name);
  });

  it('begins with what all slices of the peer begin with, and no other', () => {
    const name = sliceName(peerId('p'), claimId('c'));
    expect(name.startsWith(slicePrefix(peerId('p')))).toBe(true);
    expect(name.startsWith(slicePrefix(peerId('pp')))).toBe(false);
  });
});

describe('UserSlices', () => {
  const slices = new UserSlices(user, {});
  const peer = peerId('p1');

  it('knows where systemd puts a slice and the scopes in it', () => {
    const cgroup = slices.of(peer, claimId('c1'));
    expect(cgroup.path).toBe(
      `user.slice/user-1000.slice/user@1000.service/podmesh.slice/${cgroup.parent}`,
    );
    expect(cgroup.containerIn('abc')).toBe('libpod-abc.scope');
    expect(cgroup.conmonIn('abc')).toBe('libpod-conmon-abc.scope');
  });

  it('finds its own again by what Podman tells, and none of another peer', () => {
    const { parent, path } = slices.of(peer, claimId('c1'));
    expect(slices.adopt(parent, peer)).toMatchObject({ parent, path });
    expect(slices.adopt(parent, peerId('p2'))).toBeUndefined();
    expect(slices.adopt('user.slice', peer)).toBeUndefined();
    expect(slices.adopt(undefined, peer)).toBeUndefined();
    expect(slices.adopt(`../${parent}`, peer)).toBeUndefined();
    expect(slices.adopt(`${parent}/x.slice`, peer)).toBeUndefined();
  });
});

describe('hasUserSystemd', () => {
  it('is false without a runtime directory, and for one without systemd', () => {
    expect(hasUserSystemd({})).toBe(false);
    expect(hasUserSystemd({ XDG_RUNTIME_DIR: '/nowhere' })).toBe(false);
  });
});
