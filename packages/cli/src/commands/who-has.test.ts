import { type ArtifactId, type Holders, type Holding, peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { digestOf, peerEntry } from '../sample-run.test-kit.ts';

const A = digestOf('a');

/** A world in which the roll call has this result. */
function answering(holdings: readonly Omit<Holding, 'artifact'>[], silent: readonly string[] = []) {
  const world = new FakeWorld();
  const asked: (readonly ArtifactId[])[] = [];
  const client = world.client();
  const finder = {
    ...client.finder,
    whoHas: async (artifacts: readonly ArtifactId[], until: string): Promise<Holders> => {
      expect(until).toBe('roll-call');
      asked.push(artifacts);
      const all = holdings.map((holding) => ({ ...holding, artifact: A }));
      return { found: new Map(all.length === 0 ? [] : [[A, all]]), silent: silent.map(peerId) };
    },
  };
  const connect = async () => ({ ...client, finder });
  return { world, asked, run: (...words: string[]) => world.run(['cache', ...words], { connect }) };
}

const oak = { peer: peerId('oak'), bytes: 2048, whole: true };
const ash = { peer: peerId('ash'), bytes: 2048, whole: false };

describe('podmesh cache who-has', () => {
  it('names whole and partial holders, and who did not answer', async () => {
    const { world, asked, run } = answering([oak, ash], ['pi', 'elm']);
    expect(await run('who-has', A.slice(7))).toBe(0);
    expect(asked).toEqual([[A]]);
    expect(world.terminal.stdout.trim().split('\n')).toEqual([
      'PEER  COPY   OF',
      'ash   part   2 KiB',
      'oak   whole  2 KiB',
      'not known, because they do not answer: elm, pi',
    ]);
  });

  it('fails when nobody has all of it', async () => {
    const { world, run } = answering([]);
    expect(await run('who-has', A)).toBe(1);
    expect(world.terminal.stdout).toBe('no peer has it\n');
    const part = answering([ash]);
    expect(await part.run('who-has', A, '--json')).toBe(1);
    expect(JSON.parse(part.world.terminal.stdout)).toEqual({
      artifact: A,
      holders: [ash],
      inObjectStore: false,
      silent: [],
    });
  });

  it('knows of what lies in the mesh itself', async () => {
    const { world, run } = answering([]);
    const ref = { digest: A, kind: 'file' as const, bytes: 1 };
    await world.others.artifacts.put(
      ref,
      (async function* () {
        yield Buffer.from('a');
      })(),
    );
    expect(await run('who-has', A)).toBe(0);
    expect(world.terminal.stdout).toContain('object store has it');
  });

  it('asks peers over the mesh', async () => {
    const world = new FakeWorld();
    await world.others.peers.announce(peerEntry('oak'));
    const end = new AbortController();
    const answer = world.others.finder.answer(
      peerId('oak'),
      (artifacts) => artifacts.map((artifact) => ({ artifact, bytes: 7, whole: true })),
      end.signal,
    );
    expect(await world.run(['cache', 'who-has', A])).toBe(0);
    expect(world.terminal.stdout).toContain('oak   whole  7 B');
    end.abort();
    await answer;
  });

  it('wants all digits where no daemon can complete them, and a mesh', async () => {
    const { world, run } = answering([oak]);
    expect(await run('who-has', A.slice(7, 20))).toBe(2);
    expect(world.terminal.stderr).toContain('all 64 digits');
    expect(await world.run(['cache', 'who-has', A], { env: {} })).toBe(3);
  });
});

describe('podmesh peers --json', () => {
  it('tells where artifacts are served, and not the key to them', async () => {
    const world = new FakeWorld();
    const bulk = { urls: ['http://127.0.0.1:1'], key: 'the-secret' };
    await world.others.peers.announce(peerEntry('oak', { bulk }));
    await world.others.peers.announce(peerEntry('ash'));
    expect(await world.run(['peers', '--json'])).toBe(0);
    const told = JSON.parse(world.terminal.stdout) as readonly { peer: string; bulk?: object }[];
    expect(told.find(({ peer }) => peer === 'oak')?.bulk).toEqual({ urls: bulk.urls });
    expect(told.find(({ peer }) => peer === 'ash')).not.toHaveProperty('bulk');
    expect(world.terminal.stdout).not.toContain('the-secret');
  });
});
