import { inPieces, sampleArtifact } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';

async function put(world: FakeWorld, text: string) {
  const { ref, bytes } = sampleArtifact(Buffer.from(text));
  await world.others.artifacts.put(ref, inPieces(bytes));
  return ref;
}

it('shows what the object store of the mesh holds, and what goes', async () => {
  const world = new FakeWorld();
  expect(await world.run(['cache', 'ls', '--mesh'])).toBe(0);
  expect(world.terminal.stdout).toBe('0 artifacts; 0 B without a bound\nnot swept yet\n');
  const [old, kept] = [await put(world, 'old one'), await put(world, 'kept')];
  const note = { horizon: 2, condemned: [1], kept: 1, removed: 7 };
  await world.others.shelf.announce(note, 0);
  world.terminal.stdout = '';
  expect(await world.run(['cache', 'ls', '--mesh'])).toBe(0);
  const [, first = '', second = '', ...rest] = world.terminal.stdout.trim().split('\n');
  expect(first).toContain(old.digest.slice(7, 19));
  expect(first).toContain('goes with the next sweep');
  expect(second).toContain(kept.digest.slice(7, 19));
  expect(second).not.toContain('goes');
  expect(rest[0]).toContain('2 artifacts; 11 B');
  expect(rest[1]).toMatch(/^swept .* ago: 7 artifacts removed, 1 to go/);
});

it('tells programs all of it', async () => {
  const world = new FakeWorld();
  const { digest: artifact } = await put(world, 'one');
  expect(await world.run(['cache', 'ls', '--mesh', '--json'])).toBe(0);
  expect(JSON.parse(world.terminal.stdout)).toEqual({
    bytes: 3,
    artifacts: [{ artifact, kind: 'file', bytes: 3, goes: false }],
  });
});

it('is a word of ls alone', async () => {
  const world = new FakeWorld();
  expect(await world.run(['cache', 'prune', '--mesh'])).toBe(2);
  expect(world.terminal.stderr).toContain('has no --mesh');
});
