import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactRef, EMPTY_ARTIFACT, STDERR_TAIL_BYTES_MAX } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { DiskStore } from './disk-store.ts';
import { LogFile } from './log-file.ts';
import { namesIn, temporaryFolder } from './store.test-kit.ts';

async function newLog() {
  const root = await temporaryFolder();
  const store = new DiskStore(root);
  await store.prepare();
  const published: ArtifactRef[] = [];
  const log = new LogFile(store, async (ref) => void published.push(ref));
  return { root, store, published, log };
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
    log.write('stdout', bytes('never wanted'));
    expect(await namesIn(join(root, 'temporary'))).toHaveLength(1);
    await log.discard();
    await log.discard();
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
  });

  it('that was stored survives its discard', async () => {
    const { log, store } = await newLog();
    log.write('stdout', bytes('kept'));
    const { digest } = await log.store();
    await log.discard();
    expect(await store.has(digest)).toBe(true);
  });

  it('ignores what comes after it was stored', async () => {
    const { log, root } = await newLog();
    log.write('stdout', bytes('kept'));
    const stored = await log.store();
    log.write('stdout', bytes('late'));
    expect(await log.store()).toEqual(stored);
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
  });
});
