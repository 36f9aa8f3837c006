import { artifactId, peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { digestOf } from '../sample-run.test-kit.ts';

const [ONE, TWO] = [artifactId(digestOf('one')), artifactId(digestOf('two'))];

async function newWorld(): Promise<FakeWorld> {
  const world = new FakeWorld();
  const tags = world.others.imageTags;
  const record = (digest: typeof ONE, by: string) => {
    return { digest, mediaType: 'a/b', bytes: 1, by: peerId(by) };
  };
  await tags.set('me/tool', '2', record(ONE, 'oak'));
  await tags.set('me/tool', '1', record(ONE, 'oak'));
  await tags.set('me/tool', '1', record(TWO, 'ash'));
  await tags.set('other', 'x', record(TWO, 'ash'));
  return world;
}

describe('podmesh image tags', () => {
  it('lists the names of the mesh, or of one repository', async () => {
    const world = await newWorld();
    expect(await world.run(['image', 'tags'])).toBe(0);
    expect(world.terminal.stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['IMAGE', 'MANIFEST', 'PUSHED TO'],
      ['mesh/me/tool:1', TWO.slice(7, 19), 'ash'],
      ['mesh/me/tool:2', ONE.slice(7, 19), 'oak'],
      ['mesh/other:x', TWO.slice(7, 19), 'ash'],
      [''],
    ]);
    world.terminal.stdout = '';
    expect(await world.run(['image', 'tags', 'other', '--json'])).toBe(0);
    expect(JSON.parse(world.terminal.stdout)).toEqual([
      { name: 'mesh/other:x', digest: TWO, by: 'ash' },
    ]);
  });

  it('tells what a tag has meant, newest first', async () => {
    const world = await newWorld();
    await world.others.imageTags.remove('me/tool', '1');
    for (const name of ['me/tool:1', 'mesh/me/tool:1', 'localhost:5055/me/tool:1']) {
      world.terminal.stdout = '';
      expect(await world.run(['image', 'tags', name, '--json'])).toBe(0);
      const told = JSON.parse(world.terminal.stdout) as { digest?: string; at: string }[];
      expect(told.map(({ digest }) => digest)).toEqual([undefined, TWO, ONE]);
      expect(told.every(({ at }) => !Number.isNaN(Date.parse(at)))).toBe(true);
    }
    world.terminal.stdout = '';
    await world.run(['image', 'tags', 'me/tool:1']);
    expect(world.terminal.stdout).toMatch(/mesh\/me\/tool:1 +removed +- /);
  });

  it('says where to push when there is nothing, and refuses what is no name', async () => {
    const world = new FakeWorld();
    expect(await world.run(['image', 'tags', 'nobody'])).toBe(0);
    expect(world.terminal.stdout).toContain('podman push localhost:PORT/NAME:TAG');
    const wrong = [['UPPER'], ['a', 'b'], [`a@${ONE}`], ['--tag', 'x']];
    for (const words of wrong) expect(await world.run(['image', 'tags', ...words])).toBe(2);
  });
});
