import { writeFile } from 'node:fs/promises';
import type { ContainerRef } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { CliError } from '../cli-error.ts';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { livingChild } from '../home/child.test-kit.ts';
import type { ImageProgram, LocalMeaning } from '../home/image-program.ts';
import { digestOf, graphOf, MACHINE, peerEntry } from '../sample-run.test-kit.ts';
import type { World } from '../world.ts';
import { pinImages } from './pin-images.ts';

const TOOL = 'localhost/tool:1';
const MESH = 'nats://fake:4222';
const FAR = 'registry.example/far:1';
const [OLD, NEW, ARM] = [digestOf('old'), digestOf('new'), digestOf('arm')];

/** A machine whose Podman, asked with or without a pull, means these images; what it was asked. */
function imagesThat(here: Record<string, string>, registry: Record<string, string> = {}) {
  const asked: string[] = [];
  const resolve: ImageProgram['resolve'] = async (references, pull) =>
    references.map((reference): LocalMeaning => {
      asked.push(`${pull === false ? 'look' : 'pull'} ${reference}`);
      if (pull !== false) pull(`pulling ${reference}`);
      const image = here[reference] ?? (pull === false ? undefined : registry[reference]);
      if (image !== undefined) return { kind: 'resolved', reference, image, arch: 'amd64' };
      return { kind: 'unresolved', reference, message: `image ${reference} is nowhere.` };
    });
  return { asked, resolve };
}

async function newWorld(peers: Readonly<Record<string, string>>): Promise<FakeWorld> {
  const world = new FakeWorld();
  for (const [name, image] of Object.entries(peers)) {
    const machine = image === ARM ? { ...MACHINE, arch: 'arm64' } : MACHINE;
    await world.others.peers.announce(peerEntry(name, { machine, images: { [image]: [TOOL] } }));
  }
  return world;
}

/** A daemon of this home that is a peer of the mesh. */
async function runDaemon(world: FakeWorld, peer: string, nats = 'nats://x'): Promise<void> {
  const { pid } = await livingChild('daemon');
  await world.home.prepare();
  const file = { pid, peer, nats, version: '1', temporary: false };
  await writeFile(world.home.at('daemon.json'), JSON.stringify(file));
}

async function pin(
  world: FakeWorld,
  references: readonly string[],
  changes: Partial<ImageProgram> = {},
  said: object = {},
): Promise<readonly ContainerRef[]> {
  const made: World = { ...world.world(), images: { ...world.world().images, ...changes } };
  const graph = graphOf(
    references.map((container, job) => ({ id: `j${job}`, container, ...said })),
  );
  const pinned = await pinImages(made, { client: world.client(), url: MESH }, graph);
  return pinned.jobs.map(({ container }) => container);
}

describe('what an image name means when a run is published', () => {
  it('is what the peers of each architecture hold under it', async () => {
    const world = await newWorld({ oak: OLD, pi: ARM });
    expect(await pin(world, [TOOL, TOOL, OLD])).toEqual([
      { kind: 'reference', reference: TOOL, pins: { amd64: OLD, arm64: ARM } },
      { kind: 'reference', reference: TOOL, pins: { amd64: OLD, arm64: ARM } },
      { kind: 'digest', digest: OLD },
    ]);
    expect(world.terminal.stderr).toBe('');
  });

  it.each([false, true])(
    'is what this machine means at this moment, when it is a peer (that just came up: %s)',
    async (isNew) => {
      const world = await newWorld(isNew ? { ash: OLD } : { mine: OLD, ash: OLD });
      await runDaemon(world, 'mine', isNew ? MESH : undefined);
      const { asked, resolve } = imagesThat({ [TOOL]: NEW });
      expect(await pin(world, [TOOL], { resolve })).toMatchObject([{ pins: { amd64: NEW } }]);
      expect(asked).toEqual([`look ${TOOL}`]);
      for (const word of [TOOL, 'mine', 'ash', NEW.slice(7, 19), OLD.slice(7, 19)]) {
        expect(world.terminal.stderr).toContain(word);
      }
    },
  );

  it('is not asked of a machine that is no peer of this mesh', async () => {
    const world = await newWorld({ oak: OLD });
    await runDaemon(world, 'elsewhere');
    const { asked, resolve } = imagesThat({ [TOOL]: NEW });
    expect(await pin(world, [TOOL], { resolve })).toMatchObject([{ pins: { amd64: OLD } }]);
    expect(asked).toEqual([]);
  });

  it('is what most peers mean otherwise, and a warning names all of them', async () => {
    const world = await newWorld({ oak: OLD, ash: NEW, elm: NEW });
    expect(await pin(world, [TOOL])).toMatchObject([{ pins: { amd64: NEW } }]);
    const { stderr } = world.terminal;
    expect(stderr).toContain(
      `the run takes ${NEW.slice(7, 19)} on ash, elm; it is ${OLD.slice(7, 19)} on oak`,
    );
  });

  it('is warned of where peers of another architecture have none, if jobs may run there', async () => {
    const world = await newWorld({ oak: OLD });
    const machine = { ...MACHINE, arch: 'arm64' };
    for (const name of ['pi', 'jet'])
      await world.others.peers.announce(peerEntry(name, { machine }));
    expect(await pin(world, [TOOL])).toMatchObject([{ pins: { amd64: OLD } }]);
    const { stderr } = world.terminal;
    expect(stderr).toContain(`${TOOL} is pinned for amd64 and not for arm64: no arm64 peer (`);
    for (const word of ['pi', 'jet', 'needs.arch']) expect(stderr).toContain(word);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    world.terminal.stderr = '';
    await pin(world, [TOOL], {}, { needs: { arch: 'amd64' } });
    expect(world.terminal.stderr).toBe('');
  });

  it('is found out by pulling where nobody has it, with progress', async () => {
    const world = await newWorld({ oak: OLD });
    const { asked, resolve } = imagesThat({}, { [FAR]: NEW });
    expect(await pin(world, [FAR, TOOL], { resolve })).toMatchObject([
      { reference: FAR, pins: { amd64: NEW } },
      { reference: TOOL, pins: { amd64: OLD } },
    ]);
    expect(asked).toEqual([`pull ${FAR}`]);
    expect(world.terminal.stderr).toBe(`pulling ${FAR}\n`);
  });

  it('stays open, with a warning, when nobody can tell', async () => {
    const world = await newWorld({});
    const { asked, resolve } = imagesThat({});
    expect(await pin(world, [TOOL, FAR], { resolve })).toEqual([
      { kind: 'reference', reference: TOOL },
      { kind: 'reference', reference: FAR },
    ]);
    expect(asked).toEqual([`pull ${FAR}`]);
    const { stderr } = world.terminal;
    expect(stderr).toContain(`image ${TOOL} is not pinned: no peer has it. Peers will look`);
    expect(stderr).toContain(
      `image ${FAR} is not pinned: no peer has it, and image ${FAR} is nowhere.`,
    );
    expect(stderr).toContain('fails with image-unavailable when none finds it');
  });

  it('does not keep a run from being published where Podman is broken', async () => {
    const world = await newWorld({ mine: OLD });
    await runDaemon(world, 'mine');
    const resolve = async () => {
      throw new CliError('daemon', 'no Podman');
    };
    expect(await pin(world, [TOOL, FAR], { resolve })).toMatchObject([
      { pins: { amd64: OLD } },
      { reference: FAR },
    ]);
    expect(world.terminal.stderr).toContain('could not ask this machine for its images: no Podman');
    expect(world.terminal.stderr).toContain('this machine cannot look for it: no Podman');
  });
});
