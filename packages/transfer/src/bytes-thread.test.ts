import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BytesThread, BytesThreadLostError } from './bytes-thread.ts';
import { temporaryFolder } from './transfer.test-kit.ts';

const MIB = 2 ** 20;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function newThread(script?: URL): BytesThread {
  const thread = new BytesThread(script);
  onTestFinished(() => thread.stop());
  return thread;
}

async function newFile(bytes: Uint8Array) {
  const path = join(await temporaryFolder(), 'file');
  await writeFile(path, bytes);
  return path;
}

describe('the thread that hashes and writes', () => {
  it('hashes a file, and its chunks in the same pass', async () => {
    const bytes = randomBytes(5 * MIB + 7);
    const hash = await newThread().hashFile(await newFile(bytes), 2 * MIB);
    expect(hash).toEqual({
      sha256: sha256(bytes),
      bytes: bytes.length,
      digests: [0, 2, 4].map((at) => sha256(bytes.subarray(at * MIB, (at + 2) * MIB))),
    });
  });

  it('has no chunks to tell of an empty file, nor where none are wanted', async () => {
    const thread = newThread();
    const empty = await thread.hashFile(await newFile(new Uint8Array()), MIB);
    expect(empty).toEqual({ sha256: sha256(new Uint8Array()), bytes: 0, digests: [] });
    expect((await thread.hashFile(await newFile(randomBytes(10)))).digests).toEqual([]);
  });

  it('follows a file that grows, whatever the steps', async () => {
    const bytes = randomBytes(3 * MIB + 1);
    const path = await newFile(bytes.subarray(0, 10));
    const followed = newThread().follow(path, MIB);
    followed.advance(10);
    await writeFile(path, bytes);
    followed.advance(MIB + 5);
    expect(await followed.finish(bytes.length)).toMatchObject({
      sha256: sha256(bytes),
      digests: [0, 1, 2, 3].map((at) => sha256(bytes.subarray(at * MIB, (at + 1) * MIB))),
    });
  });

  it('tells that a followed file is shorter than it should be', async () => {
    const followed = newThread().follow(await newFile(randomBytes(5)));
    await expect(followed.finish(6)).rejects.toThrow('shorter');
  });

  it('tells which ranges are as they should be', async () => {
    const bytes = randomBytes(300);
    const ranges = [0, 100, 200, 300].map((offset) => ({
      offset,
      bytes: 100,
      sha256: sha256(bytes.subarray(0, 100)),
    }));
    const path = await newFile(bytes);
    expect(await newThread().matching(path, ranges)).toEqual([true, false, false, false]);
  });

  it('writes bytes at their place if they are the right ones, and nothing else', async () => {
    const thread = newThread();
    const path = await newFile(new Uint8Array(300));
    // A view of something larger must not take the rest with it.
    const bytes = randomBytes(300).subarray(50, 150);
    const wanted = { offset: 100, sha256: sha256(bytes) };
    expect(await thread.put(path, wanted, randomBytes(99))).toBe(false);
    expect(await readFile(path)).toEqual(Buffer.alloc(300));
    expect(await thread.put(path, wanted, bytes)).toBe(true);
    expect((await readFile(path)).subarray(100, 200)).toEqual(Buffer.from(bytes));
  });

  it('names what the system said', async () => {
    const absent = newThread().hashFile(join(await temporaryFolder(), 'absent'));
    await expect(absent).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('fails what a thread had in hand when it died, and works on with a new one', async () => {
    const path = join(await temporaryFolder(), 'deaths');
    // Dies of its first request, whenever there is no file yet.
    const thread = newThread(
      new URL(
        `data:text/javascript,${encodeURIComponent(`
          import { existsSync, writeFileSync } from 'node:fs';
          import { parentPort } from 'node:worker_threads';
          parentPort.on('message', ({ id, kind, path }) => {
            if (kind !== 'hash-file') return kind === 'stop' && process.exit();
            if (!existsSync(path)) { writeFileSync(path, ''); process.exit(1); }
            parentPort.postMessage({ id, value: 'answered' });
          });`)}`,
      ),
    );
    const followed = thread.follow('another');
    const lost = thread.hashFile(path);
    await expect(lost).rejects.toBeInstanceOf(BytesThreadLostError);
    await expect(lost).rejects.toMatchObject({ retryable: true });
    await expect(followed.finish(1)).rejects.toBeInstanceOf(BytesThreadLostError);
    expect(await thread.hashFile(path)).toBe('answered');
  });

  it('stops when it never began, twice, and with something in hand', async () => {
    const thread = newThread();
    await thread.stop();
    const open = thread.hashFile(await newFile(randomBytes(MIB)));
    await Promise.all([
      expect(open).rejects.toBeInstanceOf(BytesThreadLostError),
      thread.stop(),
      thread.stop(),
    ]);
  });
});
