import {
  type ArtifactRef,
  claimId,
  type ExternalStore,
  ExternalStoreError,
  type Offer,
  PortError,
  peerId,
  type StorePlace,
  sourceKey,
} from '@podmesh/core';
import { freshLane, freshRun, sampleArtifact, sampleOffer } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { MemoryFiles, newBench, settled } from '../daemon.test-kit.ts';
import { DiskFullError } from '../store/disk-full-error.ts';
import { sha256 } from '../store/local-task-files.ts';
import { AttemptExternals, newFetches } from './attempt-externals.ts';

const PLACE: StorePlace = { kind: 'https', url: 'https://example.org/data' };
const TARGET: StorePlace = { kind: 's3', bucket: 'bucket', key: 'out' };
const SECRET = 'a-value-of-many-letters';
const none = async () => new Map<string, Uint8Array>();

/** A store that gives these texts, one after another, and takes what it is given. */
function storeOf(...answers: readonly (string | Error)[]) {
  const left = [...answers];
  const written: string[] = [];
  const store: ExternalStore = {
    async *read() {
      const next = left.shift() ?? new Error('asked too often');
      if (next instanceof Error) throw next;
      yield Buffer.from(next);
    },
    write: async (place) => {
      const next = left.shift();
      if (next instanceof Error) throw next;
      written.push(JSON.stringify(place));
    },
  };
  return { store, written, left };
}

function newAttempt(wish: Partial<Offer>, store: ExternalStore, values = none, bench = newBench()) {
  const run = wish.run ?? freshRun();
  const offer: Offer = { ...sampleOffer(run, freshLane()), inputs: {}, ...wish };
  const files = new MemoryFiles(bench.ports.artifacts);
  const placed: string[] = [];
  const secretFiles = {
    place: async () => ({ env: { TOKEN: '/mem/TOKEN' }, files: { 'key.pem': '/mem/key.pem' } }),
    values: async () => placed.map((value) => Buffer.from(value)),
  };
  const secrets = { valuesOf: values };
  const { pins } = bench.ports;
  const external = { store, pins, secrets, secretFiles, sha256, fetches: newFetches() };
  const parts = { external, files, clock: bench.process.clock, peer: peerId('p') };
  const stop = new AbortController();
  const claim = claimId('claim-1');
  const attempt = new AttemptExternals(parts, { offer, claim, stop: stop.signal });
  return {
    attempt,
    bench,
    files,
    offer,
    placed,
    settle: <T>(p: Promise<T>) => settled(bench.clock, p),
  };
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => error,
  );

const gone = (retryable = false) =>
  new ExternalStoreError('missing', 'https://example.org/data answered 404', { retryable });

describe('a source without a digest', () => {
  it('is what its first reader found, for all that come later', async () => {
    const first = newAttempt({ sources: { x: PLACE } }, storeOf('one').store);
    const read = await first.settle(first.attempt.begin());
    const { run } = first.offer;
    const later = newAttempt(
      { run, sources: { y: PLACE } },
      storeOf('two').store,
      none,
      first.bench,
    );
    const again = await later.settle(later.attempt.begin());
    expect(again.inputs.y).toEqual(read.inputs.x);
    expect(read.inputs.x?.digest).toBe(sampleArtifact(Buffer.from('one')).ref.digest);
  });

  it('is what the winner pinned, for who read at the same time and lost', async () => {
    const bench = newBench();
    const run = freshRun();
    const artifact = sampleArtifact(Buffer.from('the winner')).ref;
    const source = sourceKey(PLACE, sha256);
    const racing: ExternalStore = {
      ...storeOf().store,
      async *read() {
        yield Buffer.from('the loser');
        const from = 'https://example.org/data';
        bench.mesh.log.append(
          { kind: 'input-pinned', run, source, from, artifact, peer: peerId('q') },
          0,
        );
      },
    };
    const { attempt, settle } = newAttempt({ run, sources: { x: PLACE } }, racing, none, bench);
    expect((await settle(attempt.begin())).inputs.x).toEqual(artifact);
  });

  it('is read once for tasks of one peer that want it at once', async () => {
    const { store, left } = storeOf('one', 'two');
    const wish = { sources: { x: PLACE, y: PLACE } };
    const { attempt, settle } = newAttempt(wish, store);
    const { inputs } = await settle(attempt.begin());
    expect(inputs.x).toEqual(inputs.y);
    expect(left).toEqual(['two']);
  });

  it('that is not there is a missing input, by its name and place', async () => {
    const { attempt, settle } = newAttempt({ sources: { x: PLACE } }, storeOf(gone()).store);
    expect(await settle(failure(attempt.begin()))).toMatchObject({
      kind: 'input-missing',
      message: 'input x: https://example.org/data answered 404',
    });
  });

  it('that may be there later is one too: who read it tried often enough', async () => {
    const { attempt, settle } = newAttempt({ sources: { x: PLACE } }, storeOf(gone(true)).store);
    const failed = await settle(failure(attempt.begin()));
    expect(failed).toMatchObject({ kind: 'input-missing' });
    expect(failed).not.toHaveProperty('retryable');
  });

  it('does not hide that the disk is full', async () => {
    const { attempt, files, settle } = newAttempt({ sources: { x: PLACE } }, storeOf('one').store);
    files.storeOutput = async () => {
      throw new DiskFullError({ disk: '/', path: '/store', neededBytes: 1 }, 'none is left');
    };
    expect(await settle(failure(attempt.begin()))).toBeInstanceOf(DiskFullError);
  });
});

describe('a source whose bytes are known', () => {
  const known: ArtifactRef = sampleArtifact(Buffer.from('one')).ref;

  it('is not read where the mesh has them', async () => {
    const { store, left } = storeOf('one');
    const wish = { sources: { x: PLACE }, inputs: { x: known } };
    const { attempt, settle } = newAttempt(wish, store);
    expect((await settle(attempt.begin())).inputs.x).toEqual(known);
    expect(left).toEqual(['one']);
  });

  it('is read when nobody has them, and has to be the same', async () => {
    const wish = { sources: { x: PLACE }, inputs: { x: known } };
    const same = newAttempt(wish, storeOf('one').store);
    same.files.missing.add(known.digest);
    expect((await same.settle(same.attempt.begin())).inputs.x).toEqual(known);
    const other = newAttempt(wish, storeOf('two').store);
    other.files.missing.add(known.digest);
    expect(await other.settle(failure(other.attempt.begin()))).toMatchObject({
      kind: 'input-missing',
      message: expect.stringContaining('and no peer has those bytes'),
    });
  });
});

describe('delivery', () => {
  const outputs = { out: sampleArtifact(Buffer.from('made')).ref };

  it('waits for a mesh that is away, and leaves it to the store how often that is tried', async () => {
    const { store, written, left } = storeOf();
    const { attempt, files, settle } = newAttempt({ deliveries: { out: TARGET } }, store);
    const input = files.input.bind(files);
    let isAway = true;
    files.input = async (...wish) => {
      if (!isAway) return await input(...wish);
      isAway = false;
      throw new PortError('the mesh is away', { retryable: true });
    };
    await settle(attempt.deliver(outputs));
    expect(written).toEqual([JSON.stringify(TARGET)]);
    left.push(gone(true));
    expect(await settle(failure(attempt.deliver(outputs)))).toMatchObject({
      kind: 'output-missing',
    });
    expect(written).toHaveLength(1);
  });

  it('that is refused is a failure with what the store said', async () => {
    const refusal = new ExternalStoreError('refused', 's3://bucket/out answered 403', {
      retryable: false,
    });
    const { attempt, settle } = newAttempt({ deliveries: { out: TARGET } }, storeOf(refusal).store);
    expect(await settle(failure(attempt.deliver(outputs)))).toMatchObject({
      kind: 'output-missing',
      message:
        'output out could not be delivered to s3://bucket/out: s3://bucket/out answered 403. What the task made is kept: ' +
        'once the store takes it, publish the document again, and only this is left to do',
    });
  });
});

describe('secrets', () => {
  const secrets = { env: { TOKEN: 'token' }, files: { 'key.pem': 'key' } };
  const values = async () => new Map([['token', Buffer.from(SECRET)]]);

  it('are mounted as files and masked in what the task says', async () => {
    const { attempt, settle } = newAttempt({ secrets }, storeOf().store, values);
    await settle(attempt.begin());
    expect(await attempt.mounts()).toEqual({
      inputs: { '/run/secrets/key.pem': '/mem/key.pem' },
      mountAt: { '/run/secrets/key.pem': '/run/secrets/key.pem' },
      secretEnv: { TOKEN: '/mem/TOKEN' },
    });
    const said: string[] = [];
    const sink = attempt.masked((_, bytes) => void said.push(Buffer.from(bytes).toString()));
    sink('stdout', Buffer.from(`<${SECRET}> and then a-value-of`));
    attempt.flush();
    expect(said.join('')).toBe('<***> and then a-value-of');
    expect(attempt.maskText(`it said ${SECRET}`)).toBe('it said ***');
  });

  it('stay out of the log of an adopted container, or it is not read', async () => {
    const adopted = newAttempt({ secrets }, storeOf().store, values);
    adopted.placed.push(SECRET);
    await adopted.settle(adopted.attempt.resume());
    expect(adopted.attempt.maskText(SECRET)).toBe('***');
    const forgotten = newAttempt({ secrets }, storeOf().store, values);
    expect(await forgotten.settle(failure(forgotten.attempt.resume()))).toMatchObject({
      kind: 'peer-lost',
    });
  });

  it('are asked for only by attempts that have some', async () => {
    const asked = async () => expect.unreachable('asked');
    const { attempt, offer, settle } = newAttempt({}, storeOf().store, asked);
    expect(await settle(attempt.begin())).toBe(offer);
    expect(await attempt.mounts()).toEqual({ inputs: {}, mountAt: {} });
  });
});
