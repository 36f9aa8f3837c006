import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canonicalArch,
  fits,
  laneOf,
  largestMemoryBytes,
  satisfies,
  shortfallText,
  toRequirements,
} from './lane.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const MIB = 2 ** 20;
const GIB = 2 ** 30;

const anyNeeds = fc.record({
  cpus: fc.double({ min: 0.001, max: 512, noNaN: true }),
  memoryBytes: fc.integer({ min: 0, max: 2 ** 45 }),
  diskBytes: fc.integer({ min: 0, max: 2 ** 45 }),
  gpus: fc.nat({ max: 16 }),
  arch: fc.constantFrom('amd64', 'x86_64', 'AARCH64', 'riscv64'),
  labels: fc.array(fc.constantFrom('a=1', 'b=2', 'c=3')),
});

describe('requirements', () => {
  test('have defaults', () => {
    const defaults = { cpus: 1, memoryBytes: 256 * MIB, diskBytes: 0, gpus: 0, labels: [] };
    expect(toRequirements({})).toEqual(defaults);
  });

  test.each([
    [1, 64 * MIB],
    [65 * MIB, 128 * MIB],
    [GIB - 1, GIB],
    [GIB, GIB],
    [GIB + 1, GIB + 256 * MIB],
  ])('of %i bytes of memory are rounded up to %i', (memoryBytes, rounded) => {
    expect(toRequirements({ memoryBytes }).memoryBytes).toBe(rounded);
  });

  test('are never below what was asked for, and rounding them again changes nothing', () => {
    fc.assert(
      fc.property(anyNeeds, (needs) => {
        const requirements = toRequirements(needs);
        expect(toRequirements(requirements)).toEqual(requirements);
        expect(fits(toRequirements({ ...needs, labels: [] }), requirements)).toBe(true);
        expect(requirements.cpus).toBeGreaterThanOrEqual(needs.cpus);
        expect(requirements.memoryBytes).toBeGreaterThanOrEqual(needs.memoryBytes);
        expect(requirements.diskBytes).toBeGreaterThanOrEqual(needs.diskBytes);
      }),
    );
  });

  test('that mean the same share a lane, others do not', () => {
    const lane = (needs: Parameters<typeof toRequirements>[0]) =>
      laneOf(toRequirements(needs), sha256);
    expect(lane({ arch: 'x86_64', labels: ['b=2', 'a=1', 'b=2'], cpus: 0.9 })).toBe(
      lane({ labels: ['a=1', 'b=2'], arch: 'amd64' }),
    );
    expect(lane({})).not.toBe(lane({ gpus: 1 }));
    expect(lane({})).toMatch(/^[0-9a-f]{16}$/);
  });

  test('know the names of architectures', () => {
    expect(['x64', 'x86_64', 'aarch64', 'ARM64'].map(canonicalArch)).toEqual([
      'amd64',
      'amd64',
      'arm64',
      'arm64',
    ]);
  });
});

describe('a peer', () => {
  const capacity = { cpus: 4, memoryBytes: 8 * GIB - 1, diskBytes: 100 * GIB, gpus: 0 };
  const peer = {
    capacity,
    arch: 'x86_64',
    labels: ['zone=lab'],
    runtimes: ['podman' as const],
  };

  test('that has everything lacks nothing', () => {
    expect(
      satisfies(toRequirements({ cpus: 4, arch: 'amd64', labels: ['zone=lab'] }), peer),
    ).toEqual([]);
  });

  test('is told all that it lacks, with numbers', () => {
    const requirements = toRequirements({
      cpus: 8,
      memoryBytes: 64 * GIB,
      diskBytes: 1024 * GIB,
      gpus: 1,
      arch: 'arm64',
      labels: ['zone=home', 'fast=yes'],
    });
    expect(satisfies(requirements, peer).map(shortfallText)).toEqual([
      'needs 8 cores, peer offers 4',
      'needs 64 GiB memory, peer offers 7.99 GiB',
      'needs 1024 GiB disk, peer offers 100 GiB',
      'needs 1 GPU, peer offers 0',
      'needs architecture arm64, peer is amd64',
      'needs label fast=yes, peer has none such',
      'needs label zone=home, peer has zone=lab',
    ]);
  });

  test('never looks good enough in words when it is not', () => {
    const [shortfall] = satisfies(toRequirements({ memoryBytes: 8 * GIB }), peer);
    expect(shortfall && shortfallText(shortfall)).toBe('needs 8 GiB memory, peer offers 7.99 GiB');
  });

  test('counts for memory only when it suits otherwise', () => {
    const large = { ...peer, capacity: { ...capacity, memoryBytes: 64 * GIB }, labels: [] };
    const asked = toRequirements({ labels: ['zone=lab'] });
    expect(largestMemoryBytes(asked, [large, peer])).toBe(peer.capacity.memoryBytes);
    expect(largestMemoryBytes(toRequirements({}), [large, peer])).toBe(64 * GIB);
    expect(largestMemoryBytes(toRequirements({ gpus: 1 }), [large, peer])).toBe(0);
  });

  test('has room only when every resource has', () => {
    fc.assert(
      fc.property(
        anyNeeds,
        fc.constantFrom('cpus', 'memoryBytes', 'diskBytes', 'gpus'),
        (needs, which) => {
          const requirements = toRequirements(needs);
          expect(fits(requirements, requirements)).toBe(true);
          expect(fits(requirements, { ...requirements, [which]: requirements[which] - 0.01 })).toBe(
            false,
          );
        },
      ),
    );
  });
});
