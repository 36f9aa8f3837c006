import { execFile } from 'node:child_process';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { WAKE_PATIENCE_MS } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { CommandLine } from '../../process-kit/command-line.ts';
import type { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { Ending } from '../../process-kit/ending.ts';
import { FakeLogind } from '../../process-kit/fake-logind.ts';
import { HubNetwork, type Leaf } from '../../process-kit/hub-network.ts';
import { MagicListener } from '../../process-kit/magic-listener.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import { removeFolder } from '../../process-kit/remove-folder.ts';
import { replaceFile } from '../../process-kit/replace-file.ts';

const MINUTES = 60_000;
const SUBNET = '10.99.7';
const problem = await HubNetwork.problem();
if (problem !== undefined) console.log(`skipped, since no networks can be made here: ${problem}`);

/** Of the three that are sent for each call, as a card counts them. */
const PACKETS = 3;

describe.skipIf(problem !== undefined)('a machine that sleeps', () => {
  const ending = new Ending();
  let cluster: ProcessMesh;
  let logind: FakeLogind;
  let card: MagicListener;
  let elsewhere: MagicListener;
  let address: string;
  let attic: DaemonProcess;
  let near: readonly DaemonProcess[];

  const addPeer = (name: string, { under, env, nats }: Leaf, more: Record<string, string> = {}) =>
    cluster.newPeer(name, {
      words: ['--label', `place=${name}`, '--allow-root'],
      env: { ...env, PODMESH_PRETEND_CARDS: 'eth1', ...more },
      under,
      nats,
    });
  const listed = async () => (await cluster.mesh.peers.list()).map(({ peer }) => `${peer}`);
  const sleeper = async () => (await cluster.mesh.sleepers.list())[0]?.sleeper;
  const podmesh = (...words: readonly string[]) =>
    new CommandLine(join(cluster.folder, 'person'), cluster.folder, {
      PODMESH_NATS: cluster.server.url,
    }).run(...words);
  const policy = (text: string) => replaceFile(join(attic.options.home, 'policy.yaml'), text);
  const work = () =>
    cluster.publish(
      busyboxGraph([
        { id: 'work', cache: false, needs: { labels: ['place=attic'] }, command: shell('true') },
      ]),
    );

  async function fallAsleep(): Promise<void> {
    await logind.prepareForSleep(true);
    await expect.poll(sleeper, { timeout: 4 * MINUTES }).toBeDefined();
    await expect.poll(listed, { timeout: 4 * MINUTES }).not.toContain(attic.name);
  }

  async function rise(): Promise<void> {
    await logind.prepareForSleep(false);
    await expect.poll(listed, { timeout: 4 * MINUTES }).toContain(attic.name);
    await expect.poll(sleeper, { timeout: 4 * MINUTES }).toBeUndefined();
  }

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    ending.defer(() => cluster.stop());
    const network = await HubNetwork.start(cluster.server.url);
    ending.defer(() => network.stop());
    const home = [await network.addLeaf(), await network.addLeaf(), await network.addLeaf()];
    const far = await network.addLeaf();
    await network.addLan(SUBNET, home);
    const [bed, one, two] = home as [Leaf, Leaf, Leaf];
    const folder = await mkdtemp(join(tmpdir(), 'podmesh-waking-'));
    ending.defer(() => removeFolder(folder));
    logind = await FakeLogind.start(folder, bed.under);
    ending.defer(() => logind.stop());
    card = await MagicListener.start(bed.under);
    ending.defer(() => card.stop());
    elsewhere = await MagicListener.start(far.under);
    ending.defer(() => elsewhere.stop());
    const [enter = '', ...words] = [...bed.under, 'ip', '-json', 'link', 'show', 'dev', 'eth1'];
    const [link] = JSON.parse((await promisify(execFile)(enter, words)).stdout);
    address = link.address;
    attic = addPeer('attic', bed, logind.env);
    await mkdir(attic.options.home, { recursive: true });
    near = [addPeer('one', one), addPeer('two', two)];
    await Promise.all([attic, ...near, addPeer('far', far)].map((peer) => peer.start()));
  }, 10 * MINUTES);

  afterAll(() => ending.end(), 8 * MINUTES);

  it(
    'is woken by one peer of its network when work waits that it alone could do',
    async () => {
      await policy('version: 1\nrules: []');
      await fallAsleep();
      expect(await sleeper()).toMatchObject({
        peer: attic.name,
        // And, where the machine of this test has a card called eth0, that of the line to the hub.
        links: expect.arrayContaining([{ mac: address, network: `${SUBNET}.0/24` }]),
        offering: { labels: ['place=attic'] },
      });
      const shown = await podmesh('peers');
      expect(shown.out).toMatch(new RegExp(`${attic.name} .*asleep since .*podmesh wake`));
      const run = await work();
      await card.until(PACKETS, 5 * MINUTES);
      const calledMs = performance.now();
      const why = await podmesh('explain', `${run.run}/work`);
      expect(why.out, why.err).toContain(`${attic.name} sleeps and could take it`);
      await rise();
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      expect(new Set(card.heard.map(({ hex }) => hex))).toEqual(
        new Set([`ffffffffffff${address.replaceAll(':', '').repeat(16)}`]),
      );
      // Once, and again only when it has not risen for as long as that takes.
      const again = Math.floor((performance.now() - calledMs) / WAKE_PATIENCE_MS);
      const calls = card.heard.length / PACKETS;
      expect(calls, `${calls} calls`).toBeLessThanOrEqual(1 + again);
      for (let call = 0; call < calls; call += 1) {
        const packets = card.heard.slice(call * PACKETS, (call + 1) * PACKETS);
        const [{ from } = { from: '' }] = packets;
        expect(packets).toEqual(Array(PACKETS).fill({ from, hex: expect.any(String) }));
        expect([`${SUBNET}.2`, `${SUBNET}.3`]).toContain(from);
      }
      expect(elsewhere.heard).toEqual([]);
    },
    15 * MINUTES,
  );

  it(
    'comes when a person says so, unless its owner lets nobody wake it',
    async () => {
      card.heard.length = 0;
      await fallAsleep();
      const waking = podmesh('wake', attic.name);
      await card.until(PACKETS, 2 * MINUTES);
      await rise();
      const woken = await waking;
      expect(woken, woken.err).toMatchObject({ code: 0 });
      expect(woken.out).toMatch(
        new RegExp(`${attic.name} is awake; (${near.map(({ name }) => name).join('|')}) called it`),
      );

      await policy('version: 1\nwake: false\nrules: []');
      await expect
        .poll(
          async () => (await new CommandLine(attic.options.home, cluster.folder).run('policy')).out,
          {
            timeout: 4 * MINUTES,
          },
        )
        .toContain('nobody may wake it');
      card.heard.length = 0;
      await fallAsleep();
      const refused = await podmesh('wake', attic.name);
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.out).toContain('nobody may wake it');
      expect(card.heard).toEqual([]);
      await rise();
    },
    15 * MINUTES,
  );
});
