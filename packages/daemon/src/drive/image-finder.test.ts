import { type ContainerRuntime, ok, peerId, refused, sessionId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { newBench, peerParts } from '../daemon.test-kit.ts';
import { ImageFinder } from './image-finder.ts';

const TOOL = 'registry.example/tool:1';
const [A, B, C] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`) as [
  string,
  string,
  string,
];

/** A driver on an amd64 machine, and peers with what each calls `TOOL`. */
async function finder(
  peers: readonly (readonly [arch: string, image: string])[],
  here?: string,
): Promise<ImageFinder> {
  const bench = newBench();
  const facts = peerParts(bench, 'p').describe();
  const load = { free: facts.capacity, claims: [], driving: 0, session: sessionId('s') };
  for (const [position, [arch, image]] of peers.entries()) {
    const machine = { ...facts.machine, arch };
    const images = { [image]: [TOOL] };
    const peer = peerId(`peer-${position}`);
    await bench.ports.peers.announce({ ...facts, ...load, peer, machine, images });
  }
  const resolveImage: ContainerRuntime['resolveImage'] = async () =>
    here === undefined ? refused({ kind: 'unavailable', message: 'no' }) : ok(here);
  const { peers: directory } = bench.ports;
  return new ImageFinder({
    runtime: { resolveImage },
    peers: directory,
    clock: bench.process.clock,
    arch: () => 'amd64',
  });
}

async function found(images: ImageFinder, reference = TOOL) {
  await images.find([reference]);
  return images.known(reference);
}

describe('what a reference without pins means', () => {
  it('is of its own architecture only, where other machines have it', async () => {
    expect(await found(await finder([['arm64', B]]))).toEqual({ arm64: B });
  });

  it('is what this machine means, and besides what those of other architectures do', async () => {
    const peers = [
      ['arm64', B],
      ['amd64', C],
    ] as const;
    expect(await found(await finder(peers, A))).toEqual({ amd64: A, arm64: B });
    expect(await found(await finder(peers))).toEqual({ amd64: C, arm64: B });
  });

  it('is nothing where nobody has it, and an id means itself', async () => {
    expect(await found(await finder([]))).toBeUndefined();
    expect(await found(await finder([['arm64', B]]), B)).toEqual({ arm64: B });
  });
});
