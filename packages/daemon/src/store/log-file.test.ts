import { mkdir, readFile, rename, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactRef, EMPTY_ARTIFACT, STDERR_TAIL_BYTES_MAX } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DiskStore } from './disk-store.ts';
import { LogFile } from './log-file.ts';
import { namesIn, temporaryFolder, textStream } from './store.test-kit.ts';

async function newLog() {
  const root = await temporaryFolder();
  const store = new DiskStore(root);
  await store.prepare();
  const published: ArtifactRef[] = [];
  const path = join(root, 'attempt.log');
  const next = () => new LogFile(store, path, async (ref) => void published.push(ref));
  /** As a daemon does that finds what a killed one left. */
  const takenUp = async () => {
    const log = next();
    await log.takeUp();
    return log;
  };
  return { root, store, published, path, log: next(), next, takenUp };
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('the log of an attempt', () => {
  it('is stored whole, both streams in order, and published once', async () => {
    const { log, store, published } = await newLog();
    log.write('stdout', bytes('one\n'));
    log.write('stderr', bytes('two\n'));
    const stored = await log.store();
    const { ref } = sampleArtifact(bytes('one\ntwo\n'));
    expect(stored).toEqual({ digest: ref.digest, bytes: 8, truncated: false });
    expect(await log.store()).toEqual(stored);
    expect(published).toEqual([ref]);
    expect(await readFile(store.pathOf(ref.digest), 'utf8')).toBe('one\ntwo\n');
  });

  it('that is large is hashed with its chunks, whole or taken up', async () => {
    const { log, store, takenUp } = await newLog();
    onTestFinished(() => store.stop());
    const piece = bytes('line of a log\n'.repeat(100_000));
    for (let time = 0; time < 4; time += 1) log.write('stdout', piece);
    const { ref } = sampleArtifact(Buffer.concat([piece, piece, piece, piece]));
    expect(await log.store()).toMatchObject({ digest: ref.digest, bytes: 4 * piece.length });
    expect((await store.chunkList(ref.digest))?.digests).toHaveLength(2);
    expect(await (await takenUp()).store()).toMatchObject({ digest: ref.digest });
  });

  it('is the empty artifact when nothing was written, and nothing is published', async () => {
    const { log, published } = await newLog();
    expect(await log.store()).toEqual({ digest: EMPTY_ARTIFACT, bytes: 0, truncated: false });
    expect(published).toEqual([]);
  });

  it('tells the end of standard error only, at most 16 KiB of it', async () => {
    const { log } = await newLog();
    log.write('stderr', bytes('x'.repeat(STDERR_TAIL_BYTES_MAX)));
    log.write('stdout', bytes('not this'));
    log.write('stderr', bytes('the end'));
    const tail = log.stderrTail();
    expect(tail).toHaveLength(STDERR_TAIL_BYTES_MAX);
    expect(tail.endsWith('xthe end')).toBe(true);
    await log.discard();
  });

  it('leaves no file when discarded, even twice', async () => {
    const { log, root } = await newLog();
    const before = await namesIn(root);
    log.write('stdout', bytes('never wanted'));
    expect(await namesIn(root)).toContain('attempt.log');
    await log.discard();
    await log.discard();
    expect(await namesIn(root)).toEqual(before);
  });

  it('that was stored survives its discard', async () => {
    const { log, store, root } = await newLog();
    log.write('stdout', bytes('kept'));
    const { digest } = await log.store();
    await log.discard();
    expect(await store.has(digest)).toBe(true);
    expect(await namesIn(root)).not.toContain('attempt.log');
  });

  it('ignores what comes after it was stored', async () => {
    const { log, path } = await newLog();
    log.write('stdout', bytes('kept'));
    const stored = await log.store();
    log.write('stdout', bytes('late'));
    expect(await log.store()).toEqual(stored);
    expect(await readFile(path, 'utf8')).toBe('kept');
  });

  it('can be stored again when that failed', async () => {
    const { log, path, store } = await newLog();
    log.write('stdout', bytes('kept'));
    await rename(path, `${path}.away`);
    await expect(log.store()).rejects.toThrow('ENOENT');
    await rename(`${path}.away`, path);
    expect(await store.has((await log.store()).digest)).toBe(true);
  });
});

describe('a log that a killed daemon left', () => {
  it('is gone on with, and stored whole', async () => {
    const { log, takenUp } = await newLog();
    log.write('stdout', bytes('one\n'));
    const next = await takenUp();
    next.write('stdout', bytes('two\n'));
    const { digest } = sampleArtifact(bytes('one\ntwo\n')).ref;
    expect(await next.store()).toEqual({ digest, bytes: 8, truncated: false });
  });

  it('is not touched any more once it was stored, and stored again', async () => {
    const { log, store, takenUp } = await newLog();
    log.write('stdout', bytes('whole'));
    const stored = await log.store();
    const next = await takenUp();
    next.write('stdout', bytes(', and more'));
    expect(await next.store()).toEqual(stored);
    expect(await readFile(store.pathOf(stored.digest), 'utf8')).toBe('whole');
  });

  it('may be none, as nothing was written', async () => {
    const { takenUp } = await newLog();
    const log = await takenUp();
    log.write('stdout', bytes('first'));
    expect(await log.store()).toMatchObject({ bytes: 5, truncated: false });
  });

  it('makes way for one from the beginning, even in the store', async () => {
    const { log, store, next } = await newLog();
    log.write('stdout', bytes('one'));
    const stored = await log.store();
    const replayed = next();
    replayed.write('stdout', bytes('one and two'));
    expect(await replayed.store()).toMatchObject({ bytes: 11, truncated: false });
    expect(await readFile(store.pathOf(stored.digest), 'utf8')).toBe('one');
  });

  it('says so when something of it is missing', async () => {
    const { path, takenUp } = await newLog();
    // As a full disk leaves it.
    await writeFile(path, 'a part', { mode: 0o700 });
    expect(await (await takenUp()).store()).toMatchObject({ bytes: 6, truncated: true });
  });

  it('says so even when it was stored, and the outcome was not', async () => {
    const { path, store, takenUp } = await newLog();
    await writeFile(path, 'a part', { mode: 0o700 });
    const stored = await (await takenUp()).store();
    expect(stored).toMatchObject({ bytes: 6, truncated: true });
    expect(await (await takenUp()).store()).toEqual(stored);
    expect(await readFile(store.pathOf(stored.digest), 'utf8')).toBe('a part');
  });

  it('says so when the bytes without the hole are in the store already', async () => {
    const { path, store, takenUp } = await newLog();
    await store.write(textStream('a part'));
    await writeFile(path, 'a part', { mode: 0o700 });
    await (await takenUp()).store();
    expect(await (await takenUp()).store()).toMatchObject({ truncated: true });
  });

  it('says so when what is missing came before its file could be made', async () => {
    const { log, path, takenUp } = await newLog();
    await mkdir(path);
    log.write('stdout', bytes('lost'));
    await rmdir(path);
    log.write('stdout', bytes('kept'));
    expect(await (await takenUp()).store()).toMatchObject({ bytes: 4, truncated: true });
  });

  it('that cannot be read counts as cut off', async () => {
    const { path, takenUp } = await newLog();
    await mkdir(path);
    expect(await (await takenUp()).store()).toMatchObject({ bytes: 0, truncated: true });
  });
});
