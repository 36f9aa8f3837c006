import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SecretValues, StorePlace } from '@podmesh/core';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OutsideStores } from './outside-stores.ts';
import { WRITE_TRIES_MAX } from './store-limits.ts';
import { refusedHop } from './web-request.ts';
import { serve, WebServer } from './web-server.test-kit.ts';

const BYTES = randomBytes(300_000);
const TOKEN = 'Bearer a-token-of-many-letters';
const NO_SECRETS: SecretValues = new Map();
const never = new AbortController().signal;
const stores = new OutsideStores({ stallMs: 200, retryMs: 1 });
const folder = await mkdtemp(join(tmpdir(), 'podmesh-web-'));
let server: WebServer;

beforeEach(async () => {
  server = await WebServer.start();
});
afterEach(() => server.stop());
afterAll(() => rm(folder, { recursive: true, force: true }));

const at = (path: string): StorePlace => ({ kind: 'https', url: server.url(path) });

async function read(
  place: StorePlace,
  secrets: SecretValues = NO_SECRETS,
  signal = never,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stores.read(place, secrets, signal)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const failure = (reading: Promise<unknown>): Promise<unknown> =>
  reading.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => error,
  );

describe('a source that drips', () => {
  it('is given up, however long it goes on', async () => {
    const drips = new Set<NodeJS.Timeout>();
    server.answer = (_, response) => {
      response.writeHead(200, { 'content-length': 10 * 1024 * 1024 });
      const drip = setInterval(() => response.write('x'), 10);
      drips.add(drip);
      response.once('close', () => clearInterval(drip));
    };
    expect(await failure(read(at('/drips')))).toMatchObject({ kind: 'failed', retryable: true });
    expect(drips.size).toBe(4);
  });

  it('is nothing that a slow reader is taken for', async () => {
    server.answer = serve(BYTES, { etag: '"one"' });
    const patient = new OutsideStores({ stallMs: 40, retryMs: 1 });
    const pieces: Uint8Array[] = [];
    for await (const piece of patient.read(at('/a'), NO_SECRETS, never)) {
      pieces.push(piece);
      const until = performance.now() + 60;
      while (performance.now() < until) await new Promise(setImmediate);
    }
    expect(Buffer.concat(pieces).equals(BYTES)).toBe(true);
    expect(server.requests).toHaveLength(1);
  });
});

describe('reading', () => {
  it('gives the bytes', async () => {
    server.answer = serve(BYTES, { etag: '"one"' });
    expect((await read(at('/a'))).equals(BYTES)).toBe(true);
    server.answer = serve(Buffer.alloc(0), {});
    expect(await read(at('/empty'))).toHaveLength(0);
  });

  it('goes on where a connection broke', async () => {
    const cuts = [70_000, 150_000, BYTES.length];
    server.answer = (...told) => serve(BYTES, { etag: '"one"', until: cuts.shift() ?? 0 })(...told);
    expect((await read(at('/a'))).equals(BYTES)).toBe(true);
    const asked = server.requests.map(({ headers }) => headers.range);
    expect(asked[0]).toBeUndefined();
    expect(asked.slice(1)).toEqual([
      expect.stringMatching(/^bytes=\d+-$/),
      expect.stringMatching(/^bytes=\d+-$/),
    ]);
    expect(server.requests[2]?.headers['if-range']).toBe('"one"');
  });

  it('leaves out the beginning of a server that knows no ranges', async () => {
    const cuts = [70_000, BYTES.length];
    server.answer = (...told) => serve(BYTES, { ranges: false, until: cuts.shift() ?? 0 })(...told);
    expect((await read(at('/a'))).equals(BYTES)).toBe(true);
  });

  it.each([
    ['by its tag', '"two"', BYTES],
    ['by its bytes', undefined, Buffer.concat([randomBytes(200_000), BYTES.subarray(200_000)])],
    ['by its length', undefined, BYTES.subarray(1)],
  ])('notices %s that the object was changed in between', async (_, etag, second) => {
    const answers = [
      serve(BYTES, {
        ...(etag === undefined ? {} : { etag: '"one"' }),
        until: 70_000,
        ranges: false,
      }),
      serve(second, { ...(etag === undefined ? {} : { etag }), ranges: false }),
    ];
    server.answer = (...told) => answers.shift()?.(...told);
    expect(await failure(read(at('/a')))).toMatchObject({
      name: 'ExternalStoreError',
      message: expect.stringContaining('was changed while it was read'),
    });
  });

  it('begins again when nothing comes any more, and gives up when that stays so', async () => {
    server.answer = (_, response) => {
      response.writeHead(200, { 'content-length': BYTES.length, etag: '"one"' });
      if (server.requests.length < 2) response.write(BYTES.subarray(0, 70_000));
    };
    expect(await failure(read(at('/slow')))).toMatchObject({ kind: 'failed', retryable: true });
    expect(server.requests.length).toBeGreaterThan(3);
  });

  it('ends with its signal', async () => {
    const stop = new AbortController();
    server.answer = (_, response) => {
      response.writeHead(200).write('something');
      stop.abort(new Error('told to stop'));
    };
    expect(await failure(read(at('/a'), NO_SECRETS, stop.signal))).toMatchObject({
      message: 'told to stop',
    });
  });

  it.each([
    [404, 'missing', false],
    [410, 'missing', false],
    [401, 'refused', false],
    [403, 'refused', false],
    [416, 'failed', false],
    [429, 'failed', true],
    [501, 'failed', false],
    [503, 'failed', true],
  ])('says what status %i means', async (status, kind, retryable) => {
    server.answer = (_, response) => response.writeHead(status).end('secret words');
    const error = await failure(read(at('/a?x=1')));
    expect(error).toMatchObject({ kind, retryable });
    expect(String(error)).toContain(`/a?… answered ${status}`);
    expect(String(error)).not.toContain('secret words');
  });

  it('says nothing of a secret address but its name', async () => {
    const secrets = new Map([['url', Buffer.from(`${server.url('/hidden?sig=abcdefgh')}\n`)]]);
    const place: StorePlace = { kind: 'secret', secret: 'url' };
    server.answer = serve(BYTES, {});
    expect((await read(place, secrets)).equals(BYTES)).toBe(true);
    server.answer = (_, response) => response.writeHead(403).end();
    expect(String(await failure(read(place, secrets)))).toMatch(/secret:url answered 403/);
    await server.stop();
    const gone = String(await failure(read(place, secrets)));
    expect(gone).toMatch(/no answer from secret:url: ECONNREFUSED/);
    expect(gone).not.toMatch(/hidden|abcdefgh/);
    server = await WebServer.start();
  });

  it('refuses a secret that is no address, and http elsewhere', async () => {
    for (const url of ['no address', 'http://data.example.org/a?sig=x', '']) {
      const secrets = new Map([['url', Buffer.from(url)]]);
      const error = await failure(read({ kind: 'secret', secret: 'url' }, secrets));
      expect(error).toMatchObject({ retryable: false });
      expect(String(error)).not.toContain('sig=x');
    }
  });
});

describe('redirections', () => {
  const secrets = new Map([['auth', Buffer.from(TOKEN)]]);
  const home = (): StorePlace => ({
    kind: 'https',
    url: server.url('/from'),
    authorization: 'auth',
  });

  it('are followed with credentials to the same host, and without to another', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      server.requests.length = 0;
      server.answer = (request, response) => {
        if (request.url === '/to') return serve(BYTES, {})(request, response);
        response.writeHead(302, { location: server.url('/to', host) }).end();
      };
      const reading = read(home(), secrets);
      // Not every machine's localhost is this address: what counts is what was sent.
      await reading.catch(() => undefined);
      expect(server.requests[0]?.headers.authorization).toBe(TOKEN);
      const last = server.requests.at(-1);
      const wanted = host === 'localhost' && last?.url === '/to' ? undefined : TOKEN;
      expect(last?.headers.authorization).toBe(wanted);
    }
  });

  it.each([
    ['http://data.example.org/a', /in clear/],
    ['ftp://data.example.org/a', /may not/],
    ['http://[', /no address/],
  ])('are not followed to %s', async (location, problem) => {
    server.answer = (_, response) => response.writeHead(302, { location }).end();
    expect(String(await failure(read(home(), secrets)))).toMatch(problem);
  });

  it('do not lead from another machine to this one', () => {
    const home = ['http://localhost:1/', 'https://127.0.0.1/', 'http://[::1]:80/'];
    for (const to of home) {
      expect(refusedHop('https://example.org/a', to)).toMatch(/this machine/);
      expect(refusedHop('http://127.0.0.1:9/a', to)).toBeUndefined();
    }
    expect(refusedHop('https://example.org/a', 'https://cdn.example.org/')).toBeUndefined();
  });

  it('are not followed for ever', async () => {
    server.answer = (_, response) => response.writeHead(302, { location: '/again' }).end();
    expect(String(await failure(read(home(), secrets)))).toMatch(/more than 5 times/);
  });
});

describe('writing', () => {
  it('puts the file', async () => {
    const path = join(folder, 'file');
    await writeFile(path, BYTES);
    const got: Buffer[] = [];
    server.answer = (request, response) => {
      request.on('data', (piece: Buffer) => got.push(piece));
      request.on('end', () => response.writeHead(201).end());
    };
    const secrets = new Map([['url', Buffer.from(server.url('/put?sig=abcdefgh'))]]);
    const file = { path, bytes: BYTES.length };
    await stores.write({ kind: 'secret', secret: 'url' }, file, secrets, never);
    expect(Buffer.concat(got).equals(BYTES)).toBe(true);
    expect(server.requests[0]).toMatchObject({ method: 'PUT', url: '/put?sig=abcdefgh' });
  });

  it.each([
    [403, 'refused', 1],
    [500, 'failed', WRITE_TRIES_MAX],
    [302, 'failed', 1],
  ])(
    'says what status %i means, and tries as often as makes sense',
    async (status, kind, tries) => {
      const path = join(folder, 'small');
      await writeFile(path, 'small');
      server.answer = (request, response) => {
        request.resume();
        response.writeHead(status, { location: '/elsewhere' }).end();
      };
      const writing = stores.write(at('/put'), { path, bytes: 5 }, NO_SECRETS, never);
      expect(await failure(writing)).toMatchObject({ kind, retryable: false });
      expect(server.requests).toHaveLength(tries);
    },
  );

  it('is tried again after a connection that broke', async () => {
    const path = join(folder, 'file');
    await writeFile(path, BYTES);
    const got: Buffer[] = [];
    server.answer = (request, response) => {
      if (server.requests.length === 1) {
        request.destroy();
        return;
      }
      request.on('data', (piece: Buffer) => got.push(piece));
      request.on('end', () => response.writeHead(201).end());
    };
    await stores.write(at('/put'), { path, bytes: BYTES.length }, NO_SECRETS, never);
    expect(server.requests).toHaveLength(2);
    expect(Buffer.concat(got).equals(BYTES)).toBe(true);
  });
});
