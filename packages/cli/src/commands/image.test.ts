import { describe, expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';
import type { BuildOrder } from '../home/image-program.ts';
import { digestOf, MACHINE, peerEntry } from '../sample-run.test-kit.ts';
import { defaultTag } from './image.ts';

const [A, B] = [digestOf('a'), digestOf('b')];

describe('podmesh image build', () => {
  function building() {
    const world = new FakeWorld();
    const orders: BuildOrder[] = [];
    const images = {
      ...world.world().images,
      build: async (order: BuildOrder) => {
        orders.push(order);
        return { image: A, name: order.tag };
      },
    };
    return { world, orders, run: (...words: string[]) => world.run(words, { images }) };
  }

  it('names the image after its directory unless told otherwise, and tells id and name', async () => {
    const { world, orders, run } = building();
    expect(await run('image', 'build', 'My Tools/')).toBe(0);
    expect(await run('image', 'build', '.', '-t', 'x:2', '-f', 'Other', '--json')).toBe(0);
    const { directory } = world;
    expect(orders).toEqual([
      { directory: `${directory}/My Tools`, tag: 'localhost/my-tools:latest' },
      { directory, tag: 'x:2', file: `${directory}/Other` },
    ]);
    expect(world.terminal.stdout).toBe(
      `${A}  localhost/my-tools:latest\n${JSON.stringify({ image: A, name: 'x:2' })}\n`,
    );
  });

  it('fails when no image came of it', async () => {
    const world = new FakeWorld();
    expect(await world.run(['image', 'build', '.'])).toBe(1);
    expect(world.terminal.stderr).toContain('no image was built');
  });

  it('refuses root and wrong words with 2', async () => {
    const { world, orders } = building();
    expect(await world.run(['image', 'build', '.'], { isRoot: true })).toBe(2);
    for (const words of [[], ['build'], ['push', 'x'], ['ls', 'x'], ['ls', '--tag', 'x']]) {
      expect(await world.run(['image', ...words])).toBe(2);
    }
    expect(orders).toEqual([]);
    expect(() => defaultTag('/')).toThrow('--tag');
  });
});

describe('podmesh image ls', () => {
  async function mesh(): Promise<FakeWorld> {
    const world = new FakeWorld();
    const arm = { ...MACHINE, arch: 'arm64' };
    const [one, two] = ['localhost/one:1', 'localhost/two:1'];
    for (const entry of [
      peerEntry('oak', { images: { [A]: [one, `localhost/one@${A}`], [B]: [two] } }),
      peerEntry('ash', { images: { [A]: [one] } }),
      peerEntry('pi', { machine: arm, images: { [digestOf('c')]: [two] } }),
    ]) {
      await world.others.peers.announce(entry);
    }
    return world;
  }

  it('lists the images of all peers and who holds them', async () => {
    const world = await mesh();
    expect(await world.run(['image', 'ls'])).toBe(0);
    const rows = world.terminal.stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(rows).toEqual([
      ['IMAGE', 'NAMES', 'ARCH', 'PEERS'],
      [A.slice(7, 19), 'localhost/one:1', 'amd64', 'ash, oak'],
      [expect.any(String), 'localhost/two:1', expect.any(String), expect.any(String)],
      [expect.any(String), 'localhost/two:1', expect.any(String), expect.any(String)],
    ]);
  });

  it('tells programs ids and names in full', async () => {
    const world = await mesh();
    expect(await world.run(['image', 'ls', '--json'])).toBe(0);
    expect(JSON.parse(world.terminal.stdout)[0]).toEqual({
      image: A,
      references: ['localhost/one:1', `localhost/one@${A}`],
      peers: [
        { peer: 'ash', arch: 'amd64' },
        { peer: 'oak', arch: 'amd64' },
      ],
    });
  });

  it("lists this machine's own without a mesh, and says so", async () => {
    const world = new FakeWorld();
    const images = {
      ...world.world().images,
      list: async () => ({ [A]: ['localhost/one:1'], [B]: [] }),
    };
    expect(await world.run(['image', 'ls'], { env: {}, images })).toBe(0);
    expect(world.terminal.stdout).toContain('this machine');
    expect(world.terminal.stdout).not.toContain(B.slice(7, 19));
    expect(world.terminal.stderr).toContain('no mesh is up');
    expect(await new FakeWorld().run(['image', 'ls'], { env: {} })).toBe(0);
  });
});
