import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, expect, it } from 'vitest';
import { MetricsServer } from './metrics-server.ts';

let server: MetricsServer | undefined;

afterEach(() => server?.stop());

async function serve(metrics: () => Promise<string> = async () => 'up 1\n'): Promise<number> {
  server = new MetricsServer({ contentType: 'text/plain; version=0.0.4; charset=utf-8', metrics });
  return server.start(0);
}

function ask(port: number, path: string, options: { method?: string; host?: string } = {}) {
  const { method = 'GET', host = `localhost:${port}` } = options;
  return new Promise<{ status: number | undefined; type: string | undefined; text: string }>(
    (resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port, path, method, headers: { host } },
        (said) => {
          let text = '';
          said.setEncoding('utf8').on('data', (piece) => {
            text += piece;
          });
          said.on('end', () => {
            resolve({ status: said.statusCode, type: said.headers['content-type'], text });
          });
        },
      );
      asked.on('error', reject).end();
    },
  );
}

it('tells at /metrics, in the text format', async () => {
  const port = await serve();
  expect(await ask(port, '/metrics')).toEqual({
    status: 200,
    type: 'text/plain; version=0.0.4; charset=utf-8',
    text: 'up 1\n',
  });
  expect(await ask(port, '/metrics?name=up', { host: '127.0.0.1' })).toMatchObject({ status: 200 });
});

it.each([
  ['/', {}, 404],
  ['/metrics/x', {}, 404],
  ['/metrics', { method: 'POST' }, 405],
  ['/metrics', { host: 'evil.example' }, 403],
  ['/metrics', { host: 'localhost.evil.example' }, 403],
])('%s with %j is refused with %d', async (path, options, status) => {
  expect(await ask(await serve(), path, options)).toMatchObject({ status });
});

it('listens on loopback alone', async () => {
  const port = await serve();
  const own = Object.values(networkInterfaces()).flat();
  for (const address of own.filter((one) => one?.internal === false)) {
    const asked = new Promise((resolve, reject) => {
      request({ host: address?.address, port, path: '/metrics' }, resolve)
        .on('error', reject)
        .end();
    });
    await expect(asked).rejects.toThrow();
  }
});

it('a port that is taken is named, with what to do', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  server = new MetricsServer({ contentType: '', metrics: async () => '' });
  await expect(server.start(port)).rejects.toThrow(`port ${port}: listen EADDRINUSE`);
  await expect(server.start(port)).rejects.toThrow('--metrics-port');
  other.close();
});

it('what cannot be told is an error, and the next one is answered', async () => {
  let times = 0;
  const port = await serve(async () => {
    times += 1;
    if (times === 1) throw new Error('no mesh');
    return 'up 1\n';
  });
  expect(await ask(port, '/metrics')).toMatchObject({ status: 500, text: 'no mesh\n' });
  expect(await ask(port, '/metrics')).toMatchObject({ status: 200 });
});

it('stops when never started, and twice', async () => {
  server = new MetricsServer({ contentType: '', metrics: async () => '' });
  await server.stop();
  await server.stop();
});
