import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StorePlace } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OutsideStores } from './outside-stores.ts';
import { KEYS, S3Server } from './s3-server.test-kit.ts';
import { PART_BYTES, WRITE_TRIES_MAX } from './store-limits.ts';
import { WebServer } from './web-server.test-kit.ts';

const MINUTE = 60_000;
const never = new AbortController().signal;
const stores = new OutsideStores({ stallMs: 2_000, retryMs: 1 });
const folder = await mkdtemp(join(tmpdir(), 'podmesh-s3-files-'));
let server: S3Server;

beforeAll(async () => {
  server = await S3Server.start();
}, MINUTE);
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}, MINUTE);

async function store(place: StorePlace, bytes: Buffer): Promise<void> {
  const path = join(folder, 'file');
  await writeFile(path, bytes);
  await stores.write(place, { path, bytes: bytes.length }, KEYS, never);
}

async function read(place: StorePlace): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stores.read(place, KEYS, never)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => error,
  );

describe('a real server of S3', () => {
  it('gives back what was stored, empty, small, and in parts', { timeout: MINUTE }, async () => {
    for (const bytes of [0, 5, 100_000, 2 * PART_BYTES + 12_345]) {
      const content = randomBytes(bytes);
      await store(server.place(`dir/of-${bytes}`), content);
      expect((await read(server.place(`dir/of-${bytes}`))).equals(content)).toBe(true);
    }
  });

  it('names what is missing, without a text of the server', async () => {
    const missing = server.place('nothing/here');
    expect(await failure(read(missing))).toMatchObject({
      kind: 'missing',
      retryable: false,
      message: 's3://data/nothing/here answered 404 NoSuchKey: there is no such object',
    });
    const elsewhere = { ...missing, bucket: 'nobodys' };
    expect(await failure(store(elsewhere, randomBytes(5)))).toMatchObject({ kind: 'missing' });
  });

  it('refuses wrong credentials, and no message shows any', async () => {
    const wrong = server.place('dir/of-5', 'wrong');
    for (const work of [() => read(wrong), () => store(wrong, randomBytes(5))]) {
      const error = await failure(work());
      expect(error).toMatchObject({ kind: 'refused', retryable: false });
      expect(String(error)).toContain('SignatureDoesNotMatch');
      expect(JSON.stringify([String(error), error, (error as Error).cause])).not.toMatch(
        /not-the-secret-key|S3RVER|Signature=/,
      );
    }
  });

  it('has nothing half done after an upload that was stopped', { timeout: MINUTE }, async () => {
    const path = join(folder, 'large');
    const bytes = 3 * PART_BYTES;
    await writeFile(path, randomBytes(bytes));
    const stop = new AbortController();
    const place = server.place('dir/stopped');
    const writing = stores.write(place, { path, bytes }, KEYS, stop.signal);
    stop.abort(new Error('told to stop'));
    expect(await failure(writing)).toMatchObject({ message: 'told to stop' });
    expect(await failure(read(place))).toMatchObject({ kind: 'missing' });
    const left = (await readdir(server.directory, { recursive: true })).filter((name) =>
      /stopped/.test(name),
    );
    expect(left).toEqual([]);
  });
});

describe('a server of S3 that fails', () => {
  it('has the parts of a failed upload taken away', { timeout: MINUTE }, async () => {
    const web = await WebServer.start();
    const asked: string[] = [];
    web.answer = (request, response) => {
      asked.push(`${request.method} ${request.url?.replace(/&x-id=.*|\?x-id=.*/, '')}`);
      request.resume();
      request.on('end', () => {
        const body =
          '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>';
        if (request.method === 'POST') response.writeHead(200).end(body);
        else response.writeHead(request.method === 'PUT' ? 500 : 204).end();
      });
    };
    const path = join(folder, 'large');
    const bytes = PART_BYTES + 1;
    await writeFile(path, randomBytes(bytes));
    const place = { ...server.place('parts'), endpoint: web.url('') };
    const error = await failure(stores.write(place, { path, bytes }, KEYS, never));
    expect(error).toMatchObject({ kind: 'failed', retryable: false });
    expect((error as Error).message).toContain(`(tried ${WRITE_TRIES_MAX} times)`);
    // Parts are repeated by themselves: what was sent of the others stays.
    expect(asked.filter((one) => one.startsWith('POST'))).toHaveLength(1);
    expect(asked[0]).toBe('POST /data/parts?uploads=');
    expect(asked.at(-1)).toMatch(/^DELETE \/data\/parts\?.*uploadId=u1/);
    await web.stop();
  });

  it('is read on from where it was, of the same version', { timeout: MINUTE }, async () => {
    const web = await WebServer.start();
    const content = randomBytes(200_000);
    web.answer = (request, response) => {
      const [, start = '0'] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
      const from = Number(start);
      const range = `bytes ${from}-${content.length - 1}/${content.length}`;
      response.writeHead(from === 0 ? 200 : 206, {
        etag: '"one"',
        'content-length': content.length - from,
        ...(from === 0 ? {} : { 'content-range': range }),
      });
      if (from > 0) response.end(content.subarray(from));
      else response.write(content.subarray(0, 90_000), () => response.destroy());
    };
    const place = { ...server.place('cut'), endpoint: web.url('') };
    expect((await read(place)).equals(content)).toBe(true);
    expect(web.requests[1]?.headers['if-match']).toBe('"one"');
    web.answer = (_, response) => response.writeHead(412).end();
    expect(await failure(read(place))).toMatchObject({ kind: 'failed', retryable: false });
    await web.stop();
  });
});
