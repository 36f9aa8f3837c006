import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { CommandLine } from '../process-kit/command-line.ts';
import type { DaemonProcess } from '../process-kit/daemon-process.ts';
import { awaitGate, letEnd, MAKE_GATES } from '../process-kit/podman-containers.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';
import { replaceFile } from '../process-kit/replace-file.ts';
import { untilSeen, within } from '../process-kit/within.ts';

const MINUTES = 60_000;
const LOOK_MS = 500;

describe('a machine with an owner', () => {
  let cluster: ProcessMesh;
  let facts: string;
  let owned: DaemonProcess;

  const say = (power: object) => replaceFile(facts, JSON.stringify({ power }));
  const wall = { kind: 'known', onBattery: false, percent: 90 };
  const podmesh = (...words: readonly string[]) =>
    new CommandLine(owned.options.home, cluster.folder).well(...words);

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    facts = join(cluster.folder, 'owner.json');
    await say(wall);
    owned = cluster.newPeer('owned', {
      words: ['--label', 'place=owned'],
      env: { PODMESH_PRETEND_OWNER: facts },
    });
    await mkdir(owned.options.home, { recursive: true });
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  const policy = (text: string) => replaceFile(join(owned.options.home, 'policy.yaml'), text);

  it(
    'is no peer before its policy can be read, and is told all that is wrong',
    async () => {
      await policy('version: 1\nrules: [{ when: { onbattery: true }, do: stop }]');
      const { code, said } = await owned.startUntilItEnds();
      expect(code).toBe(1);
      expect(said).toContain('rules[0].when.onbattery');
      expect(said).toContain('Did you mean');
      expect(said).toContain('rules[0].do');
    },
    8 * MINUTES,
  );

  it(
    'gets it back on battery: what ran goes elsewhere or waits, and explain says why',
    async () => {
      await policy('version: 1\nrules: [{ when: { onBattery: true }, do: hand-back }]');
      await owned.start();
      const command = shell("trap 'exit 9' TERM", MAKE_GATES, 'echo begun', awaitGate('last'));
      const needs = { labels: ['place=owned'] };
      const run = await cluster.publish(
        busyboxGraph([{ id: 'long', cache: false, needs, command }]),
      );
      await run.until('attempt-started');
      await say({ kind: 'known', onBattery: true, percent: 55 });
      const failed = await run.until('attempt-failed');
      expect(failed.event.failure).toMatchObject({
        kind: 'drained',
        message: expect.stringContaining('on battery (55% left)'),
      });
      const told = await podmesh('policy');
      expect(told).toContain('claims nothing at present, and gave back what ran');
      expect(told).toContain('holds  on battery: claims nothing and gives back what runs');
      let why = '';
      const isTold = async () => {
        why = await podmesh('explain', `${run.run}/long`);
        return why.includes('on battery (55% left)');
      };
      // By its next heartbeat.
      await untilSeen(4 * MINUTES, () => `the reason; explain says ${why}`, isTold, LOOK_MS);
      // The rule is no more, which holds within seconds.
      await policy('version: 1\nrules: []');
      const end = await letEnd({ run: run.run }, run.untilEnd());
      expect(end.state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
    },
    15 * MINUTES,
  );

  it(
    'leaves by itself when it has nothing to do, and not before',
    async () => {
      const paid = await cluster.addPeer('paid', {
        words: ['--exit-when-idle', '12s', '--label', 'place=paid'],
      });
      const needs = { labels: ['place=paid'] };
      const run = await cluster.publish(
        busyboxGraph([{ id: 'work', cache: false, needs, command: shell('sleep 14') }]),
      );
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      const end = await within(4 * MINUTES, () => paid.said, paid.end());
      expect(end, end.said).toMatchObject({ code: 0, signal: null });
      expect((await cluster.mesh.peers.list()).map(({ peer }) => peer)).not.toContain(paid.name);
    },
    15 * MINUTES,
  );
});
