import { mkdtemp, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority, MeshFolder, memberAddress } from '@podmesh/authority';
import type { RunRecord } from '@podmesh/core';
import { pushTrust, rolePermissions } from '@podmesh/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandLine } from '../process-kit/command-line.ts';
import { DaemonProcess } from '../process-kit/daemon-process.ts';
import { Ending } from '../process-kit/ending.ts';
import { BUSYBOX, podman, removeContainers } from '../process-kit/podman-containers.ts';
import { removeFolder } from '../process-kit/remove-folder.ts';

const MINUTES = 60_000;
const SECRET = /S[UAO][A-Z2-7]{50,}|eyJ[A-Za-z0-9_-]{40,}\./;

/** The machine that makes a mesh, a second peer of it, and a person at the first. */
describe('a mesh whose members have credentials', () => {
  const ending = new Ending();
  let folder: string;
  let founder: DaemonProcess;
  let second: DaemonProcess;
  let cli: CommandLine;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podmesh-members-'));
    ending.defer(() => removeFolder(folder));
    founder = peer('founder');
    await founder.start();
    second = peer('second', founder.nats);
    await second.start();
    cli = new CommandLine(founder.options.home, folder);
  }, 8 * MINUTES);

  afterAll(() => ending.end(), 8 * MINUTES);

  function peer(name: string, nats?: string): DaemonProcess {
    const daemon = new DaemonProcess({
      name: `${name}-${process.pid}`,
      home: join(folder, name),
      cores: 2,
      words: ['--runtime', 'podman', '--registry-port', '0'],
      ...(nats === undefined ? {} : { nats }),
    });
    ending.defer(() => removeContainers({ peer: daemon.name }));
    ending.defer(() => daemon.endPodmanService());
    ending.defer(() => daemon.stop());
    return daemon;
  }

  async function run(name: string, jobs: readonly object[]): Promise<RunRecord> {
    const file = `${name}.json`;
    const complete = jobs.map((job) => ({ container: BUSYBOX, ...job }));
    await writeFile(join(folder, file), JSON.stringify({ version: 1, jobs: complete }));
    const said = await cli.run('run', file);
    expect(said.code, said.out + said.err).toBe(0);
    return JSON.parse(await cli.well('show', 'last', '--json')) as RunRecord;
  }

  it(
    'runs on all peers, and the person at one of them reads what came of it',
    async () => {
      const { tasks } = await run('both', [
        {
          id: 'many',
          count: 8,
          command: ['sh', '-c', 'sleep 2; id -u > /tmp/x; head -c 400000 /dev/urandom > /tmp/big'],
          outputs: { x: 'file:/tmp/x', big: 'file:/tmp/big' },
        },
        {
          id: 'after',
          inputs: { all: 'jobs:many/x' },
          command: ['sh', '-c', 'ls /in/all | wc -l > /tmp/n'],
          outputs: { n: 'file:/tmp/n' },
        },
      ]);
      const peers = new Set(tasks.flatMap(({ attempts }) => attempts.map((one) => one.peer)));
      expect([...peers].sort()).toEqual([founder.name, second.name].sort());
      expect((await cli.well('get', 'last/after/n', '-o', '-')).trim()).toBe('8');
      for (let n = 0; n < 8; n++) {
        const got = await cli.run('get', `last/many:${n}/big`, '-o', `big-${n}`);
        expect(got.code, got.err).toBe(0);
      }
    },
    8 * MINUTES,
  );

  it('lists the peers to the person, and to nobody without credentials', async () => {
    const peers = JSON.parse(await cli.well('peers', '--json')) as { peer: string }[];
    expect(peers.map((one) => one.peer).sort()).toEqual([founder.name, second.name].sort());
    const [server = ''] = (await placeOf(founder)).servers;
    const stranger = await cli.run('peers', '--nats', `nats://${server}`);
    expect(stranger.code).toBe(3);
    // It knows no authority that vouches for the server, and goes no further.
    expect(stranger.err).toContain('certificate');
    expect((await cli.run('doctor')).out).toMatch(/ok +roles +every member has a key/);
  });

  it(
    'shows its secrets in no argument, environment, log or announcement',
    async () => {
      await run('env', [{ id: 'env', command: ['sh', '-c', 'env; cat /proc/1/environ'] }]);
      const logs = await cli.run('logs', 'last/env');
      expect(logs.out).toContain('PATH');
      expect(logs.out).not.toMatch(SECRET);
      for (const { options } of [founder, second])
        for (const name of ['daemon.json', 'daemon.log', 'nats/nats.log'])
          expect(await readFile(join(options.home, name), 'utf8').catch(() => '')).not.toMatch(
            SECRET,
          );
      for (const pid of await processesOf(folder)) {
        const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        const env = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
        expect(words + env).not.toMatch(SECRET);
      }
    },
    8 * MINUTES,
  );

  it('listens on loopback only', async () => {
    const places = (await Promise.all((await processesOf(folder)).map(listeners))).flat();
    // One server, and where each peer serves what others fetch.
    expect(places.length).toBeGreaterThanOrEqual(3);
    expect(places.filter((place) => place !== '127.0.0.1' && place !== '::1')).toEqual([]);
  });

  it('keeps everything of its members for its user', async () => {
    const open = await podman('unshare', 'find', folder, '-name', '*.creds', '-perm', '/077');
    expect(open).toBe('');
  });

  it(
    'cuts off who is revoked, and its work is done elsewhere',
    async () => {
      const home = founder.options.home;
      const directory = join(home, 'authority');
      const options = { directory, permissions: rolePermissions(), now: Date.now };
      const authority = await Authority.open(options);
      const lost = second.untilSaid('lost the mesh');
      expect(await authority?.revoke(second.name)).toHaveLength(2);
      const trust = await authority?.serverTrust();
      if (trust === undefined) throw new Error('the founder has no authority');
      const system = await memberAddress(new MeshFolder(join(home, 'mesh')), ['system']);
      await pushTrust(system, trust);
      await lost;
      const { tasks } = await run('alone', [{ id: 'alone', command: ['true'] }]);
      expect(tasks[0]?.attempts.at(-1)?.peer).toBe(founder.name);
    },
    8 * MINUTES,
  );

  async function placeOf({ options }: DaemonProcess) {
    const place = await new MeshFolder(join(options.home, 'mesh')).place();
    if (place === undefined) throw new Error(`${options.home} is in no mesh`);
    return place;
  }
});

/** Those whose command line names the folder: daemons, their servers and services. */
async function processesOf(folder: string): Promise<readonly number[]> {
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const named = await Promise.all(
    all.map(async (pid) => {
      const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return words.includes(folder) ? [Number(pid)] : [];
    }),
  );
  return named.flat();
}

/** Addresses on which a process listens, from its own sockets and the kernel's table. */
async function listeners(pid: number): Promise<readonly string[]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(
    fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')),
  );
  const own = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
  const [four, six] = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => '')),
  );
  return [...listening(four ?? '', own).map(ipv4), ...listening(six ?? '', own).map(ipv6)];
}

/** Local addresses in hexadecimal of the sockets in the state LISTEN (0A) that are among these. */
function listening(table: string, inodes: ReadonlySet<string>): readonly string[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    return state === '0A' && inodes.has(inode) ? [local.split(':')[0] ?? ''] : [];
  });
}

const ipv4 = (hex: string): string => [...Buffer.from(hex, 'hex')].reverse().join('.');
const ipv6 = (hex: string): string => (hex === '00000000000000000000000001000000' ? '::1' : hex);
