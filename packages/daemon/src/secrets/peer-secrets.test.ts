import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerId, type RunId, type SecretRef, taskId } from '@podmesh/core';
import { publicKeyText, sealBox } from '@podmesh/jetstream';
import { freshRun, sampleArtifact, samplePeer, sampleStarted } from '@podmesh/testkit';
import { afterAll, describe, expect, it } from 'vitest';
import { type Bench, newBench, settled } from '../daemon.test-kit.ts';
import { PeerSecrets } from './peer-secrets.ts';

const TASK = taskId('a');
const never = new AbortController().signal;
const folder = await mkdtemp(join(tmpdir(), 'podmesh-peer-secrets-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const PUBLISHERS: Readonly<Record<string, SecretRef>> = {
  token: { from: 'publisher', env: 'TOKEN' },
};
const VALUES = new Map([['token', Buffer.from('the-value')]]);

function newPeer(bench: Bench, name: string, env: NodeJS.ProcessEnv = {}) {
  const { privateKey: key } = generateKeyPairSync('x25519');
  const { log, peers, boxes } = bench.ports;
  const peer = peerId(name);
  const secrets = new PeerSecrets({ boxes, log, peers, peer, key, env, directory: folder });
  const valuesOf = (run: RunId, secretRefs: Readonly<Record<string, SecretRef>>) =>
    settled(bench.clock, secrets.valuesOf({ run, task: TASK, secretRefs }, never));
  return { secrets, valuesOf, key, peer, sealingKey: publicKeyText(key) };
}

async function publish(bench: Bench, run: RunId, to: ReturnType<typeof newPeer>): Promise<void> {
  const box = sealBox(VALUES, to.sealingKey, { run, peer: to.peer });
  await settled(bench.clock, bench.ports.boxes.put(run, to.peer, box));
}

describe("a publisher's secrets", () => {
  it('are opened by the peer for which they were sealed', async () => {
    const bench = newBench();
    const run = freshRun();
    const ann = newPeer(bench, 'ann');
    await publish(bench, run, ann);
    expect(await ann.valuesOf(run, PUBLISHERS)).toEqual(VALUES);
  });

  it('are given to a peer that came later and has an open attempt, and to nobody else', async () => {
    const bench = newBench();
    const run = freshRun();
    const [ann, bob] = [newPeer(bench, 'ann'), newPeer(bench, 'bob')];
    await publish(bench, run, ann);
    const stop = new AbortController();
    const answering = bench.ports.boxes.answer(
      (question) => ann.secrets.give(question),
      stop.signal,
    );
    const missing = { message: expect.stringContaining('no value for the secret token') };
    await expect(bob.valuesOf(run, PUBLISHERS)).rejects.toMatchObject({
      ...missing,
      retryable: true,
    });

    bench.mesh.log.append({ ...sampleStarted(run, TASK), peer: bob.peer }, 0);
    await expect(bob.valuesOf(run, PUBLISHERS)).rejects.toMatchObject(missing);

    const entry = { ...samplePeer('bob'), sealingKey: bob.sealingKey };
    await settled(bench.clock, bench.ports.peers.announce(entry));
    expect(await bob.valuesOf(run, PUBLISHERS)).toEqual(VALUES);
    // And from now on without asking.
    stop.abort();
    await answering;
    const box = await settled(bench.clock, bench.ports.boxes.find(run, bob.peer));
    expect(box).toBeDefined();
  });

  it('that come while the run ends leave no box behind', async () => {
    const bench = newBench();
    const run = freshRun();
    const bob = newPeer(bench, 'bob');
    const box = sealBox(VALUES, bob.sealingKey, { run, peer: bob.peer });
    const ask = async () => {
      const counts = { succeeded: 0, cached: 0, failed: 0, skipped: 0, cancelled: 1 };
      const record = sampleArtifact(Buffer.from('r')).ref.digest;
      bench.mesh.log.append({ kind: 'run-ended', run, state: 'cancelled', counts, record }, 0);
      return box;
    };
    Object.assign(bench.ports.boxes, { ask });
    expect(await bob.valuesOf(run, PUBLISHERS)).toEqual(VALUES);
    const found = await settled(bench.clock, bench.ports.boxes.find(run, bob.peer));
    expect(found).toBeUndefined();
  });

  it('that are not in the box are named', async () => {
    const bench = newBench();
    const run = freshRun();
    const ann = newPeer(bench, 'ann');
    await publish(bench, run, ann);
    const other = { other: { from: 'publisher' as const, env: 'OTHER' } };
    await expect(ann.valuesOf(run, other)).rejects.toThrow('no value for the secret other');
  });
});

describe("a peer's own secrets", () => {
  const own = (ref: Omit<SecretRef, 'from'>) => ({ it: { from: 'peer' as const, ...ref } });

  it('come from what its owner set apart, and from nothing else', async () => {
    const env = { PODMESH_SECRET_KEY: 'set-apart', OTHER: 'not-for-documents' };
    const ann = newPeer(newBench(), 'ann', env);
    const found = await ann.valuesOf(freshRun(), own({ env: 'KEY' }));
    expect(Buffer.from(found.get('it') ?? []).toString()).toBe('set-apart');
    await expect(ann.valuesOf(freshRun(), own({ env: 'OTHER' }))).rejects.toThrow(
      'start the daemon with the environment variable PODMESH_SECRET_OTHER',
    );
  });

  it('come from files of its home, which have to be there and small', async () => {
    const ann = newPeer(newBench(), 'ann');
    await writeFile(join(folder, 'licence'), 'in-a-file\n');
    const found = await ann.valuesOf(freshRun(), own({ file: 'licence' }));
    expect(Buffer.from(found.get('it') ?? []).toString()).toBe('in-a-file\n');
    await expect(ann.valuesOf(freshRun(), own({ file: 'gone' }))).rejects.toThrow(/gone: ENOENT/);
    await writeFile(join(folder, 'large'), Buffer.alloc(40_000, 'x'));
    await expect(ann.valuesOf(freshRun(), own({ file: 'large' }))).rejects.toThrow(/more than/);
  });
});
