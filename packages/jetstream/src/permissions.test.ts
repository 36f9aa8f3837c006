import { connect } from '@nats-io/transport-node';
import { TaskSigner } from '@podmesh/authority';
import { claimId, runId, taskId } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ATTEMPTS } from './attempts.test-kit.ts';
import { connectMesh } from './connect-mesh.ts';
import { PlainClient } from './plain-client.test-kit.ts';
import { TestServer } from './test-server.test-kit.ts';

let server: TestServer;
const clients: PlainClient[] = [];

beforeAll(async () => {
  server = await TestServer.startTrusted();
  const anchor = await connectMesh({ url: await server.address('anchor', 'maker'), name: 'maker' });
  await anchor.ensureStreams({ replicas: 1 });
  await anchor.close();
});

afterAll(async () => {
  for (const client of clients) await client.close();
  await server?.remove();
});

async function client(creds: string, prefix: string): Promise<PlainClient> {
  const one = await PlainClient.connect(server.port, creds, prefix);
  clients.push(one);
  return one;
}

const MEMBERS = [
  ['user', 'ann'],
  ['peer', 'lab-1'],
  ['anchor', 'lab-0'],
  ['system', 'lab-0'],
  ['joiner', 'ticket'],
] as const;

describe.each(MEMBERS)('a %s', (role, name) => {
  let own: PlainClient;

  beforeAll(async () => {
    own = await client(await server.authority.mint({ role, name }), `_INBOX.${name}`);
  });

  test.each(ATTEMPTS[role])(
    'may not $forbidden.how $forbidden.subject, but $allowed.subject',
    async ({ forbidden, allowed }) => {
      expect(await own[forbidden.how](forbidden.subject)).toBe('refused');
      expect(await own[allowed.how](allowed.subject)).toBe('done');
    },
  );
});

describe('a task', () => {
  let own: PlainClient;

  beforeAll(async () => {
    const signer = new TaskSigner(server.authority.taskSigning);
    const attempt = {
      run: runId('aaaaaaaaaaaa'),
      task: taskId('A_b-c:2'),
      claim: claimId('C1'),
    };
    const creds = await signer.mint({ ...attempt, expiresAtMs: Date.now() + 600_000 });
    own = await client(creds, 'pm.task.aaaaaaaaaaaa.A_b-c:2.C1.inbox');
  });

  test.each(ATTEMPTS.task)(
    'may not $forbidden.how $forbidden.subject, but $allowed.subject',
    async ({ forbidden, allowed }) => {
      expect(await own[forbidden.how](forbidden.subject)).toBe('refused');
      expect(await own[allowed.how](allowed.subject)).toBe('done');
    },
  );
});

describe('somebody without credentials', () => {
  const refused = { name: 'AuthorizationError' };
  const dial = (options: object) =>
    connect({ servers: `127.0.0.1:${server.port}`, reconnect: false, ...options }).then(
      async (nc) => {
        await nc.close();
        return 'connected';
      },
      (error: unknown) => error,
    );

  test.each([
    ['nothing', {}],
    ['a token', { token: 'secret' }],
    ['a user and a password', { user: 'ann', pass: 'ann' }],
  ])('is refused with %s', async (_, options) => {
    expect(await dial(options)).toMatchObject(refused);
  });
});
