import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunRecord } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandLine, type Said } from '../process-kit/command-line.ts';
import { HubNetwork, type Leaf } from '../process-kit/hub-network.ts';
import {
  awaitGate,
  BUSYBOX,
  findContainers,
  letEnd,
  MAKE_GATES,
  openGate,
  removeContainers,
} from '../process-kit/podman-containers.ts';
import { removeFolder } from '../process-kit/remove-folder.ts';
import { untilSeen } from '../process-kit/within.ts';

const MINUTES = 60_000;
const LOOK_MS = 500;
/** Nobody else on this machine has these names: containers are found by them. */
const SUFFIX = randomBytes(3).toString('hex');
const [FIRST, SECOND, FOURTH] = [`first-${SUFFIX}`, `second-${SUFFIX}`, `fourth-${SUFFIX}`];
/** Nobody serves there: these machines make a mesh of their own. */
const NO_SERVER = 'nats://nobody@127.0.0.1:1';
const problem = await HubNetwork.problem();
if (problem !== undefined) console.log(`skipped, since no networks can be made here: ${problem}`);

interface Machine {
  readonly leaf: Leaf;
  readonly home: string;
  readonly cli: CommandLine;
}

/** What one leaf sees of another: the handshake, and what comes after a request without a certificate. */
const KNOCK = `
  const [url] = process.argv.slice(1);
  const { hostname: host, port } = new URL(url);
  const socket = require('node:tls').connect({ host, port, rejectUnauthorized: false }, () =>
    socket.write('GET /v1/hello?nonce=' + '0'.repeat(32) + ' HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n'));
  const end = (answer) => { process.stdout.write(answer); process.exit(); };
  socket.once('data', (bytes) => end('answered: ' + bytes));
  for (const failure of ['error', 'close']) socket.once(failure, () => end('nothing'));
`;

describe.skipIf(problem !== undefined)('machines that join a mesh', () => {
  let folder: string;
  let network: HubNetwork;
  let first: Machine;
  let second: Machine;
  let third: Machine;
  let fourth: Machine;

  async function addMachine(name: string): Promise<Machine> {
    const leaf = await network.addLeaf();
    const home = join(folder, name);
    const env = { ...leaf.env, PODMESH_LOG_LEVEL: 'debug' };
    return { leaf, home, cli: new CommandLine(home, folder, env, leaf.under) };
  }

  /** The words of a command that has to go well. */
  async function well(saying: Promise<Said>): Promise<string> {
    const { code, out, err } = await saying;
    expect(code, out + err).toBe(0);
    return out.trim();
  }

  const up = ({ cli }: Machine, name: string, ...words: readonly string[]) =>
    // Root of a user namespace, and nobody outside of it.
    well(
      cli.run(
        ...['up', '--detach', '--allow-root', '--runtime', 'podman', '--registry-port', '0'],
        ...['--label', `place=${name}`, ...words],
      ),
    );

  async function publish({ cli }: Machine, file: string, jobs: readonly object[]) {
    const complete = jobs.map((job) => ({ container: BUSYBOX, cache: false, ...job }));
    await writeFile(join(folder, file), JSON.stringify({ version: 1, jobs: complete }));
    return cli.run('run', join(folder, file), '--allow-root');
  }

  async function recordOf({ cli }: Machine, run: string): Promise<RunRecord> {
    return JSON.parse(await well(cli.run('show', run, '--json'))) as RunRecord;
  }

  const until = (what: string, isSo: () => Promise<boolean>): Promise<void> =>
    untilSeen(4 * MINUTES, () => what, isSo, LOOK_MS);

  const runningOn = async (peer: string) =>
    (await findContainers({ peer })).filter(({ state }) => state === 'running');

  /** A task, which waits at a gate, has begun on that machine. */
  const untilBegun = (peer: string): Promise<void> =>
    until(`a task on ${peer}`, async () => (await runningOn(peer)).length > 0);

  const gated = (...after: readonly string[]) => [
    'sh',
    '-c',
    ["trap 'exit 9' TERM", MAKE_GATES, awaitGate('last'), ...after].join('; '),
  ];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podmesh-joining-'));
    network = await HubNetwork.start(NO_SERVER, { forwards: true });
    [first, second, third, fourth] = [
      await addMachine('first'),
      await addMachine('second'),
      await addMachine('third'),
      await addMachine('fourth'),
    ];
    await up(first, 'first', '--name', FIRST, '--listen', '0.0.0.0');
  }, 15 * MINUTES);

  afterAll(async () => {
    const ended: Said[] = [];
    for (const machine of [fourth, second, first])
      if (machine !== undefined) ended.push(await machine.cli.run('down'));
    for (const peer of [FIRST, SECOND, FOURTH]) await removeContainers({ peer });
    await network?.stop();
    await removeFolder(folder);
    // Also of those that were revoked.
    for (const { code, out, err } of ended) expect(code, out + err).toBe(0);
  }, 15 * MINUTES);

  it(
    'are told by the local network which meshes there are, and join none by that',
    async () => {
      const elsewhere = new CommandLine(
        join(folder, 'none'),
        folder,
        first.leaf.env,
        first.leaf.under,
      );
      let found = '';
      const isTold = async (): Promise<boolean> => {
        const { out, err } = await elsewhere.run('join', '--wait', '5s');
        found = out + err;
        return out.includes(`${first.leaf.address}:4222`);
      };
      await untilSeen(4 * MINUTES, () => `a mesh to be told of; ${found}`, isTold);
      expect((await elsewhere.run('members')).code).toBe(3);
      expect(await well(second.cli.run('join', '--wait', '1s'))).toMatch(/no mesh tells of itself/);
    },
    10 * MINUTES,
  );

  it(
    'are refused without a line that is good',
    async () => {
      const wrong = await second.cli.run('join', 'nats://somebody@10.77.1.2:4222');
      expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('this is no join line')]);
      const nowhere = await well(first.cli.run('invite', '--address', '10.77.1.2:9'));
      const unreached = await second.cli.run('join', nowhere);
      expect(unreached.code).toBe(3);
      expect(unreached.err).toContain('no server of the mesh answers at 10.77.1.2:9');
    },
    10 * MINUTES,
  );

  it(
    'are members after one command, and peers after another',
    async () => {
      const line = await well(first.cli.run('invite'));
      expect(line).toMatch(/^podmesh1\.[\w-]+@10\.77\.1\.2:4222$/);
      await well(second.cli.feed(line, 'join', '-', '--name', SECOND));
      await up(second, 'second');
      const again = await third.cli.run('join', line);
      expect([again.code, again.err]).toEqual([3, expect.stringContaining('used as often')]);
      const members = await well(first.cli.run('members'));
      expect(members).toMatch(new RegExp(`${FIRST} +anchor`));
      expect(members).toMatch(new RegExp(`${SECOND} +peer`));
      const twice = await second.cli.run('join', line);
      expect(twice.err).toContain('a podmesh daemon runs here');
    },
    15 * MINUTES,
  );

  it(
    'run tasks for a member that is only a user, and bring bytes to each other by TLS',
    async () => {
      const line = await well(first.cli.run('invite', '--role', 'user'));
      await well(third.cli.run('join', line, '--name', 'me'));
      const large = 'yes a-sentence-that-is-easily-found | head -c 8000000';
      const said = await publish(third, 'graph.json', [
        {
          id: 'make',
          needs: { labels: ['place=first'] },
          command: ['sh', '-c', `${large} > /tmp/large`],
          outputs: { large: 'file:/tmp/large' },
        },
        {
          id: 'read',
          needs: { labels: ['place=second'] },
          inputs: { large: 'jobs:make/large' },
          command: ['sh', '-c', 'wc -c < /in/large'],
          outputs: { bytes: 'fd:1' },
        },
      ]);
      expect(said.code, said.out + said.err).toBe(0);
      expect(await well(third.cli.run('get', 'last/read/bytes', '-o', '-'))).toBe('8000000');
      const log = await readFile(join(second.home, 'daemon.log'), 'utf8');
      expect(log).toMatch(/"directBytes":8000000,"relayedBytes":0/);
      // Who only has a user's home gets large things from the peers themselves, too.
      const got = JSON.parse(
        await well(
          third.cli.run('get', 'last/make/large', '-o', join(third.home, 'large'), '--json'),
        ),
      );
      expect(got).toMatchObject({ bytes: 8_000_000, fromPeers: { direct: 8_000_000, relayed: 0 } });
      const urls = JSON.parse(await well(third.cli.run('peers', '--json'))).flatMap(
        ({ bulk }: { bulk?: { urls: string[] } }) => bulk?.urls ?? [],
      );
      expect(urls.length).toBeGreaterThan(1);
      for (const url of urls) expect(url).toMatch(/^https:\/\/10\.77\./);
    },
    15 * MINUTES,
  );

  it(
    'give nothing to whoever has no certificate',
    async () => {
      const peers = JSON.parse(await well(third.cli.run('peers', '--json'))) as {
        bulk: { urls: string[] };
      }[];
      const { execFile } = await import('node:child_process');
      const [program = '', ...under] = third.leaf.under;
      for (const { bulk } of peers) {
        const words = [...under, process.execPath, '-e', KNOCK, bulk.urls[0] ?? ''];
        const answer = await new Promise((resolve) => {
          execFile(program, words, (_, out) => resolve(out));
        });
        expect(answer).toBe('nothing');
      }
    },
    10 * MINUTES,
  );

  it(
    'are cut off within seconds when they are revoked, and their work is done elsewhere',
    async () => {
      // It has to begin there, and can be done here.
      await well(first.cli.run('drain'));
      const going = publish(third, 'long.json', [{ id: 'there', count: 2, command: gated() }]);
      await untilBegun(SECOND);
      const revoked = await well(first.cli.run('revoke', SECOND));
      expect(revoked).toContain(`${SECOND} is out of the mesh`);
      await until('the second machine to lose the mesh', async () =>
        (await readFile(join(second.home, 'daemon.log'), 'utf8')).includes('lost the mesh'),
      );
      await well(first.cli.run('undrain'));
      const { code, out, err } = await letEnd({ peer: FIRST }, going);
      expect(code, out + err).toBe(0);
      const record = await recordOf(third, 'last');
      expect(JSON.stringify(record)).toContain('peer-lost');
      expect(await well(first.cli.run('members'))).toMatch(
        new RegExp(`${SECOND} +peer .* revoked`),
      );
      const peers = await second.cli.run('peers');
      expect(peers.code).toBe(3);
      await until('its entry to vanish', async () => {
        const text = await well(third.cli.run('peers'));
        return !text.includes(SECOND);
      });
    },
    15 * MINUTES,
  );

  it(
    'publish nothing when they are frozen, revoked, and thawed',
    async () => {
      const line = await well(first.cli.run('invite'));
      await well(fourth.cli.feed(line, 'join', '-', '--name', FOURTH));
      await up(fourth, 'fourth');
      // It has to begin there, and can be done here.
      await well(first.cli.run('drain'));
      const going = publish(third, 'frozen.json', [
        { id: 'late', command: gated('hostname'), outputs: { out: 'fd:1' } },
      ]);
      await untilBegun(FOURTH);
      const { pid } = JSON.parse(await readFile(join(fourth.home, 'daemon.json'), 'utf8')) as {
        pid: number;
      };
      process.kill(pid, 'SIGSTOP');
      try {
        // So it has something to publish.
        await until('the container on the fourth machine to end', async () => {
          const running = await runningOn(FOURTH);
          for (const { id } of running) await openGate(id, 'last').catch(() => undefined);
          return running.length === 0;
        });
        const revoked = await well(first.cli.run('revoke', FOURTH));
        expect(revoked).toContain(`${FOURTH} is out of the mesh`);
        await well(first.cli.run('undrain'));
        const { code, out, err } = await letEnd({ peer: FIRST }, going);
        expect(code, out + err).toBe(0);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      const before = await recordOf(third, 'last');
      expect(before.tasks).toMatchObject([
        { state: 'succeeded', attempts: [{ peer: FOURTH }, { peer: FIRST }] },
      ]);
      const log = () => readFile(join(fourth.home, 'daemon.log'), 'utf8');
      await until('the fourth machine to notice', async () =>
        (await log()).includes('lost the mesh'),
      );
      // Its container has ended long ago; whatever it makes of that stays with it.
      const ended = await fourth.cli.run('down');
      expect(ended.code, ended.out + ended.err).toBe(0);
      expect(await recordOf(third, 'last')).toEqual(before);
      expect((await fourth.cli.run('peers')).code).toBe(3);
    },
    15 * MINUTES,
  );
});
