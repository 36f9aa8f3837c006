import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { CacheListing } from '../cache/local-cache.ts';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { announceDaemon, type FakeAnswer, fakeDaemon, say } from '../home/fake-daemon.test-kit.ts';

const GIB = 1024 ** 3;
const A = `sha256:abcdef1234567890${'0'.repeat(48)}`;
const B = `sha256:abcdef1299999999${'0'.repeat(48)}`;
const C = `sha256:${'c'.repeat(64)}`;

const LISTING: CacheListing = {
  root: '/store',
  storeBytes: 3 * GIB,
  freeBytes: 40 * GIB,
  limits: { floorBytes: 0, ceilingBytes: 75 * GIB, minFreeBytes: 20 * GIB },
  artifacts: [
    { artifact: A, bytes: 2 * GIB, whole: true, rank: 'kept', pins: [], usedMsAgo: 90_000 },
    { artifact: B, bytes: GIB, whole: false, rank: 'copy', pins: ['in use'], usedMsAgo: 400 },
  ],
};

const listing: FakeAnswer = (_, response) => say(response, 200, LISTING);

describe('podmesh cache ls', () => {
  it('shows what is there, why it stays, and the disk', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, listing);
    expect(await world.run(['cache', 'ls'])).toBe(0);
    expect(asked).toEqual([{ method: 'GET', path: '/v1/cache', body: undefined }]);
    const lines = world.terminal.stdout.trim().split('\n');
    expect(lines.slice(0, 3).map((line) => line.split(/ {2,}/))).toEqual([
      ['ARTIFACT', 'SIZE', 'COPY', 'WORTH', 'USED', 'STAYS'],
      ['abcdef123456', '2 GiB', 'whole', 'kept', '1 min 30 s ago', '-'],
      ['abcdef129999', '1 GiB', 'part', 'copy', '0.4 s ago', 'in use'],
    ]);
    expect(lines[3]).toBe(
      '2 artifacts, 3 GiB of at most 75 GiB; 40 GiB are free on the disk, 20 GiB are to stay free',
    );
  });

  it('tells programs all of it', async () => {
    const world = new FakeWorld();
    await fakeDaemon(world, listing);
    expect(await world.run(['cache', 'ls', '--json'])).toBe(0);
    expect(JSON.parse(world.terminal.stdout)).toEqual(LISTING);
  });

  it('says so when nothing is there', async () => {
    const world = new FakeWorld();
    await fakeDaemon(world, (_, response) => say(response, 200, { ...LISTING, artifacts: [] }));
    expect(await world.run(['cache', 'ls'])).toBe(0);
    expect(world.terminal.stdout).toMatch(/^0 artifacts/);
  });
});

describe('podmesh cache pin and unpin', () => {
  const answer: FakeAnswer = ({ path, body }, response) => {
    if (path === '/v1/cache') return say(response, 200, LISTING);
    const { artifacts } = body as { artifacts: readonly string[] };
    const is = (artifact: string) => artifact === A;
    const name = path === '/v1/cache/pin' ? 'here' : 'wasPinned';
    say(response, 200, {
      artifacts: artifacts.map((artifact) => ({ artifact, [name]: is(artifact) })),
    });
  };

  it('names artifacts by all digits, or by enough of them, each once', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, answer);
    expect(await world.run(['cache', 'pin', 'abcdef123', A.slice(7), C])).toBe(0);
    expect(asked.at(-1)).toEqual({
      method: 'POST',
      path: '/v1/cache/pin',
      body: { artifacts: [A, C] },
    });
    expect(world.terminal.stdout).toBe(
      'abcdef123456 stays\ncccccccccccc is not here; it stays once it comes\n',
    );
  });

  it('needs no list where digests are whole', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, answer);
    expect(await world.run(['cache', 'unpin', A, C, '--json'])).toBe(0);
    expect(asked).toHaveLength(1);
    expect(JSON.parse(world.terminal.stdout)).toEqual([
      { artifact: A, wasPinned: true },
      { artifact: C, wasPinned: false },
    ]);
  });

  it('refuses digits that are too few, fit nothing, or fit several', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, answer);
    for (const [digits, why] of [
      ['abcdef1', 'is no digest'],
      ['run/job/output', 'is no digest'],
      [`sha256:${'c'.repeat(65)}`, 'is no digest'],
      ['abcdef12', 'is the beginning of 2 artifacts: abcdef123456, abcdef129999'],
      ['12345678', 'no artifact on this machine begins with 12345678'],
    ] as const) {
      expect(await world.run(['cache', 'pin', digits])).toBe(2);
      expect(world.terminal.stderr).toContain(why);
    }
    expect(asked.every(({ method }) => method === 'GET')).toBe(true);
  });
});

describe('podmesh cache prune', () => {
  const pruned = { removed: [A], removedBytes: 2 * GIB, storeBytes: GIB };
  const answer: FakeAnswer = (_, response) => say(response, 200, pruned);

  it('tells what went and what is left', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, answer);
    expect(await world.run(['cache', 'prune'])).toBe(0);
    expect(await world.run(['cache', 'prune', '--to', '1GiB', '--json'])).toBe(0);
    expect(asked.map(({ body }) => body)).toEqual([{}, { toBytes: GIB }]);
    expect(world.terminal.stdout).toBe(
      `removed 1 artifact, 2 GiB; 1 GiB are left\n${JSON.stringify(pruned)}\n`,
    );
  });

  it('fails when what is in use is more than was asked for', async () => {
    const world = new FakeWorld();
    await fakeDaemon(world, answer);
    expect(await world.run(['cache', 'prune', '--to', '0'])).toBe(1);
    expect(world.terminal.stdout).toContain('pinned or in use');
  });

  it('refuses what is no size', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, answer);
    for (const size of ['much', '-1', '1 GiBB', '9'.repeat(20)]) {
      expect(await world.run(['cache', 'prune', `--to=${size}`])).toBe(2);
    }
    expect(world.terminal.stderr).toContain('20GiB');
    expect(asked).toEqual([]);
  });
});

describe('podmesh cache verify', () => {
  const lines = [
    { kind: 'verifying', artifacts: 3, bytes: 4 * GIB },
    { kind: 'progress', checked: 1, checkedBytes: GIB },
    { kind: 'something-new' },
    { kind: 'wrong', artifact: A, now: 'fetched', ended: ['0a1b2c3d4e5f/count'] },
    { kind: 'wrong', artifact: B, now: 'lost', why: 'no peer has it', ended: [] },
    { kind: 'missing', artifact: C },
    { kind: 'verified', checked: 2, checkedBytes: 3 * GIB },
  ];

  it('tells what was wrong and is not there, and fails then', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, (_, response) => say(response, 200, ...lines));
    expect(await world.run(['cache', 'verify', A, C])).toBe(1);
    expect(asked[0]?.body).toEqual({ artifacts: [A, C] });
    expect(world.terminal.stdout).toBe(
      [
        `${A} had other bytes, which were set aside; right again, from another holder`,
        '  0a1b2c3d4e5f/count was reading it: ended, and tried again',
        `${B} had other bytes, which were removed, and is lost here (no peer has it); who needs it next has its producer done again`,
        `${C} is not here`,
        '2 artifacts, 3 GiB verified; 2 of them wrong\n',
      ].join('\n'),
    );
    expect(world.terminal.stderr).toBe('');
  });

  it('verifies all of them, and shows how far it is on a terminal', async () => {
    const world = new FakeWorld();
    world.terminal.isLive = true;
    const good = lines.filter(({ kind }) => kind !== 'wrong' && kind !== 'missing');
    const asked = await fakeDaemon(world, (_, response) => say(response, 200, ...good));
    expect(await world.run(['cache', 'verify'])).toBe(0);
    expect(asked[0]?.body).toEqual({});
    expect(world.terminal.stderr).toContain('verifying: 1/3 artifacts, 1 GiB of 4 GiB');
    world.terminal.stderr = '';
    world.terminal.stdout = '';
    expect(await world.run(['cache', 'verify', '--json'])).toBe(0);
    expect(world.terminal.stderr).toBe('');
    const told = { checked: 2, checkedBytes: 3 * GIB, wrong: [], missing: [] };
    expect(JSON.parse(world.terminal.stdout)).toEqual(told);
  });

  it('fails when the daemon could not go on, or is gone in the middle', async () => {
    const world = new FakeWorld();
    const failed = { kind: 'failed', error: 'the disk broke' };
    await fakeDaemon(world, (_, response) => say(response, 200, lines[0], failed));
    expect(await world.run(['cache', 'verify'])).toBe(1);
    expect(world.terminal.stderr).toContain('the disk broke');
    const cut = new FakeWorld();
    await fakeDaemon(cut, (_, response) => {
      response.write(`${JSON.stringify(lines[0])}\n`, () => response.destroy());
    });
    expect(await cut.run(['cache', 'verify'])).toBe(1);
    expect(cut.terminal.stderr).toContain('gave no answer');
  });
});

describe('podmesh cache', () => {
  it('says what to do without a daemon, and with one that has no socket', async () => {
    const world = new FakeWorld();
    expect(await world.run(['cache', 'ls'])).toBe(1);
    expect(world.terminal.stderr).toContain('podmesh up --detach');
    await announceDaemon(world, { version: '0.9.0' });
    expect(await world.run(['cache', 'ls'])).toBe(1);
    expect(world.terminal.stderr).toContain('of version 0.9.0');
    await announceDaemon(world);
    expect(await world.run(['cache', 'ls'])).toBe(1);
    expect(world.terminal.stderr).toContain('daemon.log says why');
  });

  it('says so when nobody answers at the socket', async () => {
    const world = new FakeWorld();
    await announceDaemon(world, { socket: world.home.at('daemon.sock') });
    expect(existsSync(world.home.at('daemon.sock'))).toBe(false);
    expect(await world.run(['cache', 'ls', '--json'])).toBe(1);
    expect(JSON.parse(world.terminal.stderr).error).toMatchObject({ kind: 'daemon', exitCode: 1 });
  });

  it('passes on how the daemon refuses, and what it cannot read', async () => {
    const answers: readonly [number, unknown, number, string][] = [
      [409, { error: 'it is busy', advice: 'Wait.' }, 1, 'it is busy\nWait.'],
      [400, { error: 'no', advice: 'so' }, 2, 'refused: no'],
      [200, { artifacts: 3 }, 1, 'makes no sense'],
      [200, [], 1, 'makes no sense'],
      [500, 'x', 1, 'makes no sense'],
    ];
    for (const [status, answer, exitCode, words] of answers) {
      const world = new FakeWorld();
      await fakeDaemon(world, (_, response) => say(response, status, answer));
      expect(await world.run(['cache', 'ls'])).toBe(exitCode);
      expect(world.terminal.stderr).toContain(words);
    }
  });

  it('refuses wrong words with 2', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, listing);
    for (const words of [
      [],
      ['lss'],
      ['ls', A],
      ['pin'],
      ['unpin'],
      ['who-has'],
      ['who-has', A, B],
      ['prune', A],
      ['ls', '--to', '1G'],
      ['pin', A, '--to', '1G'],
    ]) {
      expect(await world.run(['cache', ...words])).toBe(2);
    }
    expect(world.terminal.stderr).toContain('Did you mean "podmesh cache ls"?');
    expect(asked).toEqual([]);
  });
});
