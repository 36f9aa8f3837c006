import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerId } from '@podmesh/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CLAIM_LABEL, PEER_LABEL, RUN_LABEL } from './container-labels.ts';
import { PodmanRuntime } from './podman-runtime.ts';

const INFO = {
  host: {
    arch: 'amd64',
    cgroupManager: 'cgroupfs',
    cgroupVersion: 'v1',
    ociRuntime: { name: 'crun' },
    security: { rootless: true },
  },
  store: { graphDriverName: 'overlay' },
  version: { Version: '4.3.1' },
};
const labelsOf = (claim: string) => ({
  [PEER_LABEL]: 'attic',
  [RUN_LABEL]: 'abcdefghijkl',
  'podmesh.task': 'work',
  'podmesh.attempt': '1',
  [CLAIM_LABEL]: claim,
});

/** Answers as Podman 4.3 does after a power cut in the middle of `podman rm`. */
let folder: string;
let server: Server;
let runtime: PodmanRuntime;
let removed: string[];
let why: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podmesh-half-'));
  removed = [];
  why = 'getting container from store "half": container not known';
  server = createServer((request, response) => {
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const path = new URL(request.url ?? '', 'http://podman').pathname;
    if (path.endsWith('/info')) return answer(200, INFO);
    if (path.endsWith('/containers/json'))
      return answer(
        200,
        ['half', 'whole'].map((Id) => ({ Id, Labels: labelsOf(Id) })),
      );
    const id = /\/containers\/(\w+)/.exec(path)?.[1] ?? '';
    if (request.method === 'DELETE') {
      removed.push(id);
      return answer(200, []);
    }
    if (id === 'half') return answer(500, { message: why });
    return answer(200, { Id: id, HostConfig: {}, Mounts: [] });
  });
  server.listen(join(folder, 'podman.sock'));
  await once(server, 'listening');
  runtime = new PodmanRuntime({ socketPath: join(folder, 'podman.sock') });
});

afterEach(async () => {
  runtime.close();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

it('a container whose removal was interrupted is removed, and hides no other', async () => {
  const left = await runtime.leftovers(peerId('attic'));
  expect(left.map(({ labels }) => labels.claim)).toEqual(['whole']);
  expect(removed).toEqual(['half']);
});

it('nothing is removed for another reason', async () => {
  why = 'database is locked';
  await expect(runtime.leftovers(peerId('attic'))).rejects.toThrow('database is locked');
  expect(removed).toEqual([]);
});
