import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { CommandLine } from '../process-kit/command-line.ts';
import type { DaemonProcess } from '../process-kit/daemon-process.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';
import { within } from '../process-kit/within.ts';

const MINUTES = 60_000;

describe('a machine with an owner', () => {
  let cluster: ProcessMesh;
  let facts: string;
  let owned: DaemonProcess;

  const say = (power: object) => writeFile(facts, JSON.stringify({ power }));
  const wall = { kind: 'known', onBattery: false, percent: 90 };
  const podmesh = (...words: readonly string[]) =>
    new CommandLine(owned.options.home, cluster.folder).run(...words);

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    facts = join(cluster.folder, 'owner.json');
    await say(wall);
    owned = cluster.newPeer('owned', {
      words: ['--label', 'place=owned'],
      env: { PODMESH_PRETEND_OWNER: facts },
    });
    await mkdir(owned.options.home, { recursive: true });
  }, 3 * MINUTES);

  afterAll(() => cluster.stop(), 3 * MINUTES);

  const policy = (text: string) => writeFile(join(owned.options.home, 'policy.yaml'), text);
  const job = (id: string, seconds: number) =>
    busyboxGraph([
      { id, cache: false, needs: { labels: ['place=owned'] }, command: shell(`sleep ${seconds}`) },
    ]);

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
    2 * MINUTES,
  );

  it(
    'gets it back on battery: what ran goes elsewhere or waits, and explain says why',
    async () => {
      await policy('version: 1\nrules: [{ when: { onBattery: true }, do: hand-back }]');
      await owned.start();
      const run = await cluster.publish(job('long', 8));
      await run.until('attempt-started');
      await say({ kind: 'known', onBattery: true, percent: 55 });
      const failed = await run.until('attempt-failed');
      expect(failed.event.failure).toMatchObject({
        kind: 'drained',
        message: expect.stringContaining('on battery (55% left)'),
      });
      const told = await podmesh('policy');
      expect(told.out).toContain('claims nothing at present, and gave back what ran');
      expect(told.out).toContain('holds  on battery: claims nothing and gives back what runs');
      const why = await podmesh('explain', `${run.run}/long`);
      expect(why.out).toContain('on battery (55% left)');
      // The rule is no more, which holds within seconds.
      await policy('version: 1\nrules: []');
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
    },
    4 * MINUTES,
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
      const end = await within(2 * MINUTES, () => paid.said, paid.end());
      expect(end, end.said).toMatchObject({ code: 0, signal: null });
      expect((await cluster.mesh.peers.list()).map(({ peer }) => peer)).not.toContain(paid.name);
    },
    4 * MINUTES,
  );
});
