import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OwnMachine } from '../process-kit/own-machine.ts';
import { PlainNats } from '../process-kit/plain-nats.ts';
import { untilSeen } from '../process-kit/within.ts';

const MINUTES = 60_000;
const CLIENT = fileURLToPath(new URL('../process-kit/plain_nats.py', import.meta.url));
const MAIN = `
import json, os, plain_nats
peer, to = plain_nats.of_task(), os.environ["PODMESH_NATS_SUBJECT"]
def ask(words, body=b"", headers=""):
    status, head, said = peer.request(to + "." + words, body, headers)
    return status, head, said
me = json.loads(ask("GET.v1.me")[2])
store = lambda data: json.loads(ask("PUT.v1.artifacts", data)[2])["digest"]
part = store(b"b\\na\\n")
job = {"command": ["sort", "/in/part"], "inputs": {"part": part}, "outputs": {"out": "fd:1"}, "needs": {"memory": "64MiB"}}
spawned = json.loads(ask("POST.v1.tasks", json.dumps({"key": "sort", "jobs": [job]}).encode())[2])
done = {"settled": False}
while not done["settled"]:
    done = json.loads(ask("GET.v1.tasks." + spawned["tasks"][0]["task"], b"wait=30s")[2])
digest = done["outputs"]["out"]["digest"]
status, head, sorted_part = ask("GET.v1.artifacts." + digest, headers="Range: bytes=2-3")
refused = ask("GET.v1.tasks.nobody")
print(json.dumps({
    "me": [me["task"], me["net"]], "sorted": sorted_part.decode(), "status": [status, head["content-range"]],
    "progress": ask("POST.v1.progress", b'{"fraction": 0.5, "message": "half"}')[0],
    "refused": [refused[0], refused[1]["nats-service-error"], json.loads(refused[2])["error"]["code"]],
}))
`;

let machine: OwnMachine;

beforeAll(async () => {
  machine = await OwnMachine.start();
  await cp(CLIENT, join(machine.folder, 'plain_nats.py'));
  await writeFile(join(machine.folder, 'main.py'), MAIN);
}, 8 * MINUTES);

afterAll(() => machine?.stop(), 8 * MINUTES);

const python = (id: string, ...command: readonly string[]) => ({
  ...{ id, container: 'localhost/podmesh/python:1', net: true, outputs: { printed: 'fd:1' } },
  inputs: { 'main.py': 'file:main.py', 'plain_nats.py': 'file:plain_nats.py' },
  ...{ env: { PYTHONPATH: '/in' }, needs: { cpus: 0.5, memory: '64MiB' } },
  command: ['python3', ...command],
});

it(
  'a task with network does over NATS what others do at their socket, with a client that is none of ours',
  async () => {
    const { code, out, err } = await machine.publish({ jobs: [python('plain', '/in/main.py')] });
    expect(code, out + err).toBe(0);
    const { out: printed } = await machine.cli.run('get', 'last/plain/printed', '-o', '-');
    expect(JSON.parse(printed)).toEqual({
      me: ['plain', true],
      sorted: 'b\n',
      status: [206, 'bytes 2-3/4'],
      progress: 204,
      refused: [404, 'not-found', 'not-found'],
    });
  },
  15 * MINUTES,
);

it(
  'a task without network has none of it',
  async () => {
    const look =
      'import os; print([v for v in os.environ if "NATS" in v], [f for f in os.listdir("/run/podmesh") if "nats" in f])';
    const jobs = [{ ...python('plain', '-c', look), net: false }];
    expect((await machine.publish({ jobs })).code).toBe(0);
    const { out } = await machine.cli.run('get', 'last/plain/printed', '-o', '-');
    expect(out).toBe('[] []\n');
  },
  15 * MINUTES,
);

describe('credentials of a task, in the hands of somebody else', () => {
  /** A task that runs until it is cancelled, and what it was given. */
  async function held() {
    const endless = ['-c', 'import time; time.sleep(3600)'];
    const published = await machine.publish({ jobs: [python('one', ...endless)] }, '--detach');
    expect(published.code, published.err).toBe(0);
    const { run } = await machine.record();
    const sockets = join(machine.folder, 'home', 'sockets');
    let found: { readonly claim: string; readonly credentials: string } | undefined;
    const isGiven = async (): Promise<boolean> => {
      for (const claim of await readdir(sockets).catch(() => [])) {
        const file = join(sockets, claim, 'nats.creds');
        const credentials = await readFile(file, 'utf8').catch(() => '');
        if (credentials.includes('END USER NKEY SEED')) found = { claim, credentials };
      }
      return found !== undefined;
    };
    await untilSeen(4 * MINUTES, () => `credentials below ${sockets}`, isGiven);
    if (found === undefined) throw new Error('no credentials');
    return { run, ...found };
  }

  async function address(): Promise<string> {
    const text = await readFile(join(machine.folder, 'home', 'mesh', 'mesh.json'), 'utf8');
    const { servers } = JSON.parse(text) as { servers: readonly string[] };
    return servers[0] ?? '';
  }

  it(
    'reach that attempt, nothing else, and not for longer than it is at work',
    async () => {
      const { run, claim, credentials } = await held();
      const nats = await address();
      const ca = await readFile(join(machine.folder, 'home', 'mesh', 'ca.pem'), 'utf8');
      const own = `pm.task.${run}.one.${claim}`;
      const stranger = await PlainNats.enter(nats, credentials, ca);
      const forbidden = [
        `pm.run.${run}.control`,
        `pm.run.${run}.task.one`,
        `pm.run.${run}.end`,
        `pm.task.${run}.one.other-claim.GET.v1.me`,
        `pm.task.${run}.two.${claim}.GET.v1.me`,
        `pm.task.abcdefghijkl.one.${claim}.GET.v1.me`,
        `pm.offer.x.${run}.one`,
        `pm.drive.${run}`,
        `pm.log.${run}.one.1`,
        'pm.who',
        '$KV.pm-peers.oak',
        '$JS.API.INFO',
        '$JS.API.STREAM.DELETE.PM_RUN',
        `$JS.API.CONSUMER.CREATE.PM_RUN`,
        '$O.pm-artifacts.M.x',
        '$SYS.REQ.SERVER.PING',
        '_INBOX.x',
      ];
      for (const subject of forbidden) {
        const { kind } = await stranger.publish(subject, '{}');
        expect([subject, kind]).toEqual([subject, 'refused']);
      }
      for (const subject of ['>', 'pm.>', 'pm.task.>', `pm.run.${run}.>`, '_INBOX.>', '$SYS.>']) {
        const { kind } = await stranger.subscribe(subject);
        expect([subject, kind]).toEqual([subject, 'refused']);
      }
      expect(await stranger.subscribe(`${own}.inbox.1`)).toEqual({ kind: 'ok' });
      // In the peer's name, an answer could be written where the task itself may not write.
      await stranger.publish(`${own}.GET.v1.me`, '', `pm.run.${run}.control`);
      await stranger.publish(`${own}.GET.v1.me`, '', `${own}.inbox.1`);
      const me = await stranger.message();
      expect(JSON.parse(me.body)).toMatchObject({ run, task: 'one', attempt: 1 });
      expect((await machine.record()).state).not.toBe('cancelled');
      await machine.cli.well('cancel', 'last');
      expect((await machine.cli.run('wait', 'last')).code).toBe(1);
      const late = await PlainNats.enter(nats, credentials, ca);
      expect(await late.subscribe(`${own}.inbox.2`)).toEqual({ kind: 'ok' });
      await late.publish(`${own}.GET.v1.me`, '', `${own}.inbox.2`);
      // Nobody is there to answer: the server says so.
      expect((await late.message()).head).toContain('503');
      stranger.close();
      late.close();
    },
    15 * MINUTES,
  );
});
