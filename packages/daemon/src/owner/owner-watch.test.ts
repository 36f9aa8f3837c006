import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OwnerFacts, type OwnerSources, type OwnerVerdict, unknownFact } from '@podmesh/core';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  CAPACITY,
  eventsOf,
  graphOf,
  newBench,
  peerParts,
  publishGraph,
  settled,
  silent,
} from '../daemon.test-kit.ts';
import { Peer } from '../peer.ts';
import { OwnerWatch } from './owner-watch.ts';
import { PolicyFile } from './policy-file.ts';

/** A machine that is as the test says. */
function fakeSources() {
  const facts: { -readonly [Name in keyof OwnerFacts]: OwnerFacts[Name] } = {
    power: { kind: 'known', onBattery: false, percent: 100 },
    use: unknownFact('nobody asked'),
    network: unknownFact('nobody asked'),
    load: unknownFact('nobody asked'),
    heat: unknownFact('nobody asked'),
    time: { day: 1, minute: 0 },
  };
  const sources: OwnerSources = {
    power: async () => facts.power,
    use: async () => facts.use,
    network: async () => facts.network,
    load: async () => facts.load,
    heat: async () => facts.heat,
    time: () => facts.time,
  };
  return { facts, sources };
}

async function newHome() {
  const home = await mkdtemp(join(tmpdir(), 'podmesh-policy-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  let written = 0;
  const write = async (text: string, name = 'policy.yaml') => {
    await writeFile(join(home, name), text);
    // Two texts of one length within one tick of the file system's clock are two all the same.
    written += 10;
    await utimes(join(home, name), written, written);
  };
  return { home, write };
}

describe('the file of a policy', () => {
  it('holds as soon as it is written, and defaults where there is none', async () => {
    const { home, write } = await newHome();
    const file = new PolicyFile(home, true);
    expect(await file.look()).toBe(true);
    expect(file.inForce).toMatchObject({ problems: [] });
    expect(file.inForce.file).toBeUndefined();
    expect(file.inForce.policy.rules).toHaveLength(5);
    expect(await file.look()).toBe(false);
    await write('version: 1\nrules:\n  - { when: { inUse: 2m }, do: pause }\n');
    expect(await file.look()).toBe(true);
    expect(file.inForce).toEqual({
      policy: {
        rules: [{ when: [{ kind: 'in-use', idleMs: 120_000 }], do: { kind: 'pause' } }],
        wake: { isAllowed: true, quiet: [] },
      },
      file: join(home, 'policy.yaml'),
      problems: [],
    });
    await rm(join(home, 'policy.yaml'));
    await write('{"version": 1, "rules": []}', 'policy.json');
    expect(await file.look()).toBe(true);
    expect(file.inForce.policy.rules).toEqual([]);
  });

  it.each([
    ['no YAML', 'rules: ]'],
    ['no policy', 'rules: 7'],
    ['too large', `# ${'x'.repeat(70_000)}`],
    [
      'a bomb',
      `a: &a [1,1]\n${'bcdefgh'
        .split('')
        .map((n, at) => `${n}: &${n} [${`*${'abcdefg'[at]},`.repeat(9)}]`)
        .join('\n')}\nrules: *h`,
    ],
  ])('that is %s changes nothing, and says what is wrong', async (_, text) => {
    const { home, write } = await newHome();
    await write('version: 1\nrules: []');
    const file = new PolicyFile(home, false);
    await file.look();
    await write(text);
    expect(await file.look()).toBe(true);
    expect(file.inForce.policy.rules).toEqual([]);
    expect(file.inForce.problems.length).toBeGreaterThan(0);
    expect(file.inForce.file).toBe(join(home, 'policy.yaml'));
  });
});

describe('the owner of a machine', () => {
  async function newCase(rules: string) {
    const { home, write } = await newHome();
    await write(`version: 1\nrules: [${rules}]`);
    const bench = newBench(() => ({ kind: 'runs', durationMs: 30_000 }), 'p');
    const file = new PolicyFile(home, false);
    await file.look();
    const { facts, sources } = fakeSources();
    // Its file is read in real time: the watch looks at what the test has read.
    const known = {
      look: async () => false,
      get inForce() {
        return file.inForce;
      },
    };
    const clock = bench.process.clock;
    const owner = new OwnerWatch({ file: known, sources, clock, logger: silent });
    const peer = new Peer({ ...peerParts(bench, 'p'), owner }, CAPACITY);
    const run = publishGraph(bench.mesh, graphOf({ id: 'a', count: 8 }));
    bench.mesh.drives.publish(run);
    await settled(bench.clock, peer.start());
    await bench.clock.advance(2_000);
    const entry = async () => (await settled(bench.clock, bench.ports.peers.list()))[0];
    const failed = () =>
      eventsOf(bench.mesh, run).filter((event) => event.kind === 'attempt-failed');
    onTestFinished(() => settled(bench.clock, peer.stop()));
    return { ...bench, peer, facts, run, entry, failed, owner };
  }
  const onBattery = { kind: 'known', onBattery: true, percent: 20 } as const;

  it('pauses it: what runs goes on, nothing is claimed, and everybody can read why', async () => {
    const { clock, facts, host, entry, failed, owner } = await newCase(
      '{when: {onBattery: true}, do: pause}',
    );
    expect(owner.sleepWish).toEqual({ quiet: [] });
    expect(host.containers).toHaveLength(4);
    facts.power = onBattery;
    await clock.advance(60_000);
    expect(host.containers).toEqual([]);
    expect(host.executions).toHaveLength(4);
    expect(failed()).toEqual([]);
    expect((await entry())?.paused).toBe(
      'its owner wants it so: on battery (20% left): claims nothing',
    );
    expect(owner.sleepWish.forbids).toContain('on battery (20% left)');
    facts.power = { kind: 'known', onBattery: false };
    await clock.advance(80_000);
    expect((await entry())?.paused).toBeUndefined();
    expect(host.executions).toHaveLength(8);
  });

  it('wants it all back: what runs is given back, and charges nobody', async () => {
    const { clock, facts, host, failed } = await newCase(
      '{when: {batteryBelow: 30%}, do: hand-back}',
    );
    facts.power = onBattery;
    await clock.advance(20_000);
    expect(host.containers).toEqual([]);
    expect(failed().map(({ failure }) => failure.kind)).toEqual(Array(4).fill('drained'));
    expect(failed()[0]?.failure.message).toContain('battery at 20%');
  });

  it('leaves it a part: so much is offered, and shown beside what it would be', async () => {
    const { clock, facts, host, entry } = await newCase(
      '{when: {inUse: 5m}, do: {cores: 50%, memory: 25%}}',
    );
    facts.use = { kind: 'known', idleMs: 0 };
    await clock.advance(20_000);
    expect(host.containers).toHaveLength(4);
    await clock.advance(20_000);
    expect(host.containers).toHaveLength(2);
    expect(await entry()).toMatchObject({
      capacity: { cpus: 2, memoryBytes: CAPACITY.memoryBytes / 4 },
      free: { cpus: 0 },
      lowered: { full: CAPACITY, reason: expect.stringContaining('in use within 5 min') },
    });
  });

  it('is asked before the first claim', async () => {
    const { home, write } = await newHome();
    await write('version: 1\nrules: [{when: {days: [mon]}, do: pause}]');
    const file = new PolicyFile(home, false);
    const bench = newBench(undefined, 'p');
    const { sources } = fakeSources();
    const verdicts: OwnerVerdict[] = [];
    const owner = new OwnerWatch({ file, sources, clock: bench.process.clock, logger: silent });
    await owner.start({ ownCores: () => 0, onVerdict: (verdict) => void verdicts.push(verdict) });
    expect(verdicts.map(({ stance }) => stance)).toEqual(['paused']);
    await settled(bench.clock, owner.stop());
    await owner.stop();
  });
});
