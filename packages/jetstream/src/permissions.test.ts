import { connect } from '@nats-io/transport-node';
import { TaskSigner } from '@podmesh/authority';
import { claimId, runId, taskId } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectMesh } from './connect-mesh.ts';
import { PlainClient } from './plain-client.test-kit.ts';
import { TestServer } from './test-server.test-kit.ts';

/** [what somebody tries, how, the subject, the same that it may, how, its subject] */
type Pair = readonly [forbidden: readonly [How, string], allowed: readonly [How, string]];
type How = 'publish' | 'subscribe' | 'api';

const RUN = 'aaaaaaaaaaaa';
const OTHER_RUN = 'bbbbbbbbbbbb';
const LANE = '0123456789abcdef';

const USER: readonly Pair[] = [
  [
    ['publish', `pm.run.${RUN}.task.a`],
    ['publish', `pm.run.${RUN}.graph`],
  ],
  [
    ['publish', `pm.run.${RUN}.end`],
    ['publish', `pm.run.${RUN}.control`],
  ],
  [
    ['publish', `pm.run.${RUN}.spawn.a`],
    ['publish', `pm.drive.${RUN}`],
  ],
  [
    ['publish', `pm.run.${RUN}.pin.x`],
    ['publish', `pm.release.${RUN}`],
  ],
  [
    ['publish', `pm.offer.${LANE}.${RUN}.a`],
    ['publish', '$KV.pm-secrets.r.p'],
  ],
  [
    ['publish', `pm.log.${RUN}.a.1`],
    ['publish', 'pm.who'],
  ],
  [
    ['publish', '$KV.pm-peers.lab-1'],
    ['api', '$JS.API.DIRECT.GET.KV_pm-peers'],
  ],
  [
    ['publish', '$KV.pm-results.x'],
    ['api', '$JS.API.STREAM.INFO.KV_pm-results'],
  ],
  [
    ['publish', '$KV.pm-lanes.x'],
    ['api', '$JS.API.STREAM.INFO.KV_pm-lanes'],
  ],
  [
    ['publish', '$KV.pm-images.tag.x.y'],
    ['api', '$JS.API.CONSUMER.CREATE.KV_pm-images.r1'],
  ],
  [
    ['publish', 'pm.answer.lab-1.x.1'],
    ['subscribe', 'pm.answer.ann.x.1'],
  ],
  [
    ['publish', 'pm.keep.lab-1'],
    ['publish', 'pm.relay.lab-1'],
  ],
  [
    ['publish', 'pm.released'],
    ['publish', '$O.pm-artifacts.C.x'],
  ],
  [
    ['subscribe', 'pm.answer.bob.>'],
    ['subscribe', 'pm.answer.ann.>'],
  ],
  [
    ['subscribe', '_INBOX.bob.>'],
    ['subscribe', '_INBOX.ann.more.>'],
  ],
  [
    ['subscribe', 'pm.box'],
    ['subscribe', '_INBOX.ann.box'],
  ],
  [
    ['subscribe', '>'],
    ['subscribe', '_INBOX.ann.>'],
  ],
  [
    ['subscribe', 'pm.run.>'],
    ['api', '$JS.API.CONSUMER.CREATE.PM_RUN.r1'],
  ],
  [
    ['api', '$JS.API.CONSUMER.CREATE.PM_OFFER.x'],
    ['api', '$JS.API.CONSUMER.CREATE.PM_LOG.x'],
  ],
  [
    ['api', '$JS.API.CONSUMER.MSG.NEXT.PM_OFFER.x'],
    ['api', '$JS.API.CONSUMER.MSG.NEXT.PM_RUN.x'],
  ],
  [
    ['api', '$JS.API.CONSUMER.CREATE.KV_pm-secrets.x'],
    ['api', '$JS.API.STREAM.INFO.KV_pm-secrets'],
  ],
  [
    ['api', '$JS.API.DIRECT.GET.KV_pm-secrets.$KV.pm-secrets.r.p'],
    ['api', '$JS.API.INFO'],
  ],
  [
    ['api', '$JS.API.STREAM.PURGE.PM_RUN'],
    ['api', '$JS.API.STREAM.INFO.PM_RUN'],
  ],
  [
    ['api', '$JS.API.STREAM.PURGE.OBJ_pm-artifacts'],
    ['api', '$JS.API.STREAM.INFO.OBJ_pm-artifacts'],
  ],
  [
    ['api', '$JS.API.STREAM.DELETE.PM_RUN'],
    ['api', '$JS.API.STREAM.MSG.GET.PM_RUN'],
  ],
  [
    ['api', '$JS.API.STREAM.CREATE.MINE'],
    ['api', '$JS.API.STREAM.INFO.PM_LOG'],
  ],
  [
    ['publish', '$JS.ACK.PM_OFFER.x.1.1.1.1.0'],
    ['publish', '$O.pm-artifacts.M.x'],
  ],
  [
    ['publish', '$SYS.REQ.CLAIMS.UPDATE'],
    ['publish', `pm.run.${OTHER_RUN}.graph`],
  ],
];

const PEER: readonly Pair[] = [
  [
    ['publish', `pm.run.${RUN}.graph`],
    ['publish', `pm.run.${RUN}.task.a`],
  ],
  [
    ['publish', `pm.run.${RUN}.control`],
    ['publish', `pm.run.${RUN}.end`],
  ],
  [
    ['publish', '$KV.pm-peers.lab-2'],
    ['publish', '$KV.pm-peers.lab-1'],
  ],
  [
    ['subscribe', 'pm.keep.lab-2'],
    ['subscribe', 'pm.keep.lab-1'],
  ],
  [
    ['subscribe', 'pm.relay.lab-2'],
    ['subscribe', 'pm.relay.lab-1'],
  ],
  [
    ['subscribe', 'pm.answer.lab-2.>'],
    ['subscribe', 'pm.answer.lab-1.>'],
  ],
  [
    ['subscribe', '_INBOX.>'],
    ['subscribe', '_INBOX.lab-1.>'],
  ],
  [
    ['publish', '_INBOX.ann.x'],
    ['publish', 'pm.answer.ann.x.1'],
  ],
  [
    ['subscribe', 'pm.run.>'],
    ['api', '$JS.API.CONSUMER.CREATE.PM_RUN.r2'],
  ],
  [
    ['api', '$JS.API.STREAM.PURGE.PM_RUN'],
    ['api', '$JS.API.STREAM.PURGE.PM_OFFER'],
  ],
  [
    ['api', '$JS.API.STREAM.PURGE.PM_DRIVE'],
    ['api', '$JS.API.STREAM.INFO.PM_DRIVE'],
  ],
  [
    ['api', '$JS.API.STREAM.PURGE.OBJ_pm-artifacts'],
    ['api', '$JS.API.STREAM.MSG.GET.OBJ_pm-artifacts'],
  ],
  [
    ['api', '$JS.API.STREAM.MSG.DELETE.PM_RUN'],
    ['api', '$JS.API.STREAM.MSG.GET.PM_RUN'],
  ],
  [
    ['api', '$JS.API.STREAM.DELETE.PM_OFFER'],
    ['api', '$JS.API.STREAM.INFO.PM_OFFER'],
  ],
  [
    ['api', '$JS.API.STREAM.UPDATE.PM_RUN'],
    ['api', '$JS.API.STREAM.INFO.PM_RUN'],
  ],
  [
    ['api', '$JS.API.STREAM.CREATE.PM_RUN'],
    ['api', '$JS.API.INFO'],
  ],
  [
    ['api', '$JS.API.CONSUMER.DELETE.PM_OFFER.x'],
    ['api', '$JS.API.CONSUMER.DELETE.PM_RUN.x'],
  ],
  [
    ['api', '$JS.API.CONSUMER.DELETE.PM_DRIVE.drives'],
    ['api', '$JS.API.CONSUMER.INFO.PM_DRIVE.drives'],
  ],
  [
    ['api', '$JS.API.STREAM.SNAPSHOT.PM_RUN'],
    ['api', '$JS.API.DIRECT.GET.KV_pm-peers'],
  ],
  [
    ['api', '$JS.API.STREAM.NAMES'],
    ['api', '$JS.API.STREAM.INFO.PM_LOG'],
  ],
  [
    ['publish', 'pm.join.x'],
    ['publish', 'pm.box'],
  ],
];

const ANCHOR: readonly Pair[] = [
  [
    ['api', '$JS.API.STREAM.DELETE.PM_RUN'],
    ['api', '$JS.API.STREAM.UPDATE.PM_RUN'],
  ],
  [
    ['api', '$JS.API.STREAM.CREATE.OTHER'],
    ['api', '$JS.API.STREAM.CREATE.PM_RUN'],
  ],
  [
    ['api', '$JS.API.STREAM.PURGE.KV_pm-results'],
    ['api', '$JS.API.STREAM.PURGE.OBJ_pm-artifacts'],
  ],
  [
    ['publish', `pm.run.${RUN}.graph`],
    ['publish', `pm.run.${RUN}.task.a`],
  ],
  [
    ['publish', '$SYS.REQ.CLAIMS.UPDATE'],
    ['subscribe', 'pm.join.*'],
  ],
];

const SYSTEM: readonly Pair[] = [
  [
    ['api', '$JS.API.ACCOUNT.PURGE.X'],
    ['api', '$JS.API.META.LEADER.STEPDOWN'],
  ],
  [
    ['publish', `pm.run.${RUN}.graph`],
    ['api', '$SYS.REQ.SERVER.PING'],
  ],
  [
    ['api', '$JS.API.STREAM.INFO.PM_RUN'],
    ['subscribe', '$SYS.ACCOUNT.>'],
  ],
];

const JOINER: readonly Pair[] = [
  [
    ['publish', 'pm.join.other'],
    ['publish', 'pm.join.ticket'],
  ],
  [
    ['subscribe', 'pm.join.>'],
    ['subscribe', '_INBOX.ticket.>'],
  ],
  [
    ['publish', `pm.run.${RUN}.graph`],
    ['subscribe', 'pm.answer.ticket.x.1'],
  ],
  [
    ['api', '$JS.API.INFO'],
    ['subscribe', '_INBOX.ticket.more'],
  ],
  [
    ['api', '$JS.API.STREAM.INFO.PM_RUN'],
    ['subscribe', '_INBOX.ticket.again'],
  ],
];

const OWN = `pm.task.${RUN}.A_b-c:2.C1`;
const TASK: readonly Pair[] = [
  [
    ['publish', `pm.task.${RUN}.b:3.C1.note`],
    ['publish', `${OWN}.GET.v1.me`],
  ],
  [
    ['publish', `pm.task.${RUN}.A_b-c:2.C2.GET.v1.me`],
    ['publish', `${OWN}.POST.v1.progress`],
  ],
  [
    ['publish', `pm.task.${OTHER_RUN}.A_b-c:2.C1.note`],
    ['subscribe', `${OWN}.inbox.>`],
  ],
  [
    ['subscribe', `pm.task.${RUN}.>`],
    ['subscribe', `${OWN}.inbox.x`],
  ],
  [
    ['subscribe', `${OWN}.>`],
    ['subscribe', `${OWN}.inbox.y`],
  ],
  [
    ['subscribe', '_INBOX.>'],
    ['subscribe', `${OWN}.inbox.x.*`],
  ],
  [
    ['publish', `pm.run.${RUN}.task.A_b-c:2`],
    ['publish', `${OWN}.GET.v1.tasks.a`],
  ],
  [
    ['api', '$JS.API.INFO'],
    ['publish', `${OWN}.GET.v1.a`],
  ],
  [
    ['api', '$JS.API.STREAM.INFO.PM_RUN'],
    ['publish', `${OWN}.GET.v1.b`],
  ],
];

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

const CASES = [
  ['user', 'ann', USER],
  ['peer', 'lab-1', PEER],
  ['anchor', 'lab-0', ANCHOR],
  ['system', 'lab-0', SYSTEM],
  ['joiner', 'ticket', JOINER],
] as const;

describe.each(CASES)('a %s', (role, name, pairs) => {
  let own: PlainClient;

  beforeAll(async () => {
    own = await client(await server.authority.mint({ role, name }), `_INBOX.${name}`);
  });

  test.each(pairs)('may not %j, but %j', async ([how, subject], [howElse, allowed]) => {
    expect(await own[how](subject)).toBe('refused');
    expect(await own[howElse](allowed)).toBe('done');
  });
});

describe('a task', () => {
  let own: PlainClient;

  beforeAll(async () => {
    const signer = new TaskSigner(server.authority.taskSigning);
    const identity = {
      run: runId(RUN),
      task: taskId('A_b-c:2'),
      claim: claimId('C1'),
      expiresAtMs: Date.now() + 600_000,
    };
    own = await client(await signer.mint(identity), `${OWN}.inbox`);
  });

  test.each(TASK)('may not %j, but %j', async ([how, subject], [howElse, allowed]) => {
    expect(await own[how](subject)).toBe('refused');
    expect(await own[howElse](allowed)).toBe('done');
  });
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
