import { peerId } from '@podmesh/core';
import { checkRun } from '@podmesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peakMiB } from '../bench/process-cpu.ts';
import { CommandLine } from '../process-kit/command-line.ts';
import { NOTES_TRANSFERS, transfersOf } from '../process-kit/daemon-log.ts';
import type { DaemonProcess } from '../process-kit/daemon-process.ts';
import {
  caughtHalfWay,
  expectReadWell,
  LARGE_BYTES,
  madeAndRead,
  placed,
  untilMade,
} from '../process-kit/large-artifact.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';

const MINUTES = 60_000;
/** Of a daemon with all its threads, whatever it moves: half of what was moved. */
const MEMORY_MIB = 512;
const GOT = 'got an artifact from other peers';
const GAVE_UP = 'did not get an artifact from other peers';

describe('a large output of one peer that another reads', () => {
  let cluster: ProcessMesh;
  let ann: DaemonProcess;
  /** Serves nobody directly. */
  let shy: DaemonProcess;
  let bob: DaemonProcess;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    [ann, shy, bob] = await Promise.all([
      cluster.addPeer('ann', { words: placed('ann') }),
      cluster.addPeer('shy', { words: [...placed('shy'), '--serve', 'none'] }),
      cluster.addPeer('bob', { words: placed('bob'), env: NOTES_TRANSFERS }),
    ]);
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  it(
    'comes straight from there',
    async () => {
      const run = await cluster.publish(madeAndRead('ann', 'bob'));
      await expectReadWell(run);
      expect(await transfersOf(bob, await untilMade(run))).toEqual([
        { msg: GOT, directBytes: LARGE_BYTES, relayedBytes: 0, from: [ann.name] },
      ]);
    },
    8 * MINUTES,
  );

  it(
    'of 1 GiB comes as well, and the memory of neither side grows with it',
    async () => {
      const run = await cluster.publish(madeAndRead('ann', 'bob', 1_024));
      await expectReadWell(run);
      expect(await transfersOf(bob, await untilMade(run))).toMatchObject([
        { msg: GOT, directBytes: 2 ** 30, relayedBytes: 0, from: [ann.name] },
      ]);
      // What is mapped or cached does not count.
      for (const { pid } of [ann, bob]) expect(peakMiB(pid ?? -1)).toBeLessThan(MEMORY_MIB);
    },
    6 * MINUTES,
  );

  it(
    'comes through the server from a peer that serves nobody directly',
    async () => {
      const run = await cluster.publish(madeAndRead('shy', 'bob'));
      await expectReadWell(run);
      expect(await transfersOf(bob, await untilMade(run))).toEqual([
        { msg: GOT, directBytes: 0, relayedBytes: LARGE_BYTES, from: [shy.name] },
      ]);
    },
    8 * MINUTES,
  );

  it(
    'is made again when that peer is killed in the middle of it, which had the only copy',
    async () => {
      let run = await cluster.publish(madeAndRead('shy', 'bob'));
      // What goes through the server goes slowly enough to be caught half way, by whoever is awake.
      for (let left = 10; left > 0 && !(await caughtHalfWay(run, bob, shy)); left -= 1)
        run = await cluster.publish(madeAndRead('shy', 'bob'));
      const large = await untilMade(run);
      await shy.kill();
      await cluster.addPeer('heir', { words: placed('shy') });
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(checkRun(run.facts)).toEqual([]);
      expect(run.of('outputs-lost')).toHaveLength(1);
      const { 'make/sum': made, 'read/sum': read } = run.outputs();
      expect(read).toBe(made);
      const [noted] = await transfersOf(bob, large);
      expect(noted).toMatchObject({ msg: GAVE_UP, directBytes: 0, from: [shy.name] });
      expect(noted?.relayedBytes).toBeGreaterThan(0);
      expect(noted?.relayedBytes).toBeLessThan(LARGE_BYTES);
    },
    8 * MINUTES,
  );

  it('may be fetched by who reads the directory, and its key is shown to nobody else', async () => {
    const { key = '' } = (await cluster.mesh.peers.find(peerId(ann.name)))?.bulk ?? {};
    expect(key).not.toBe('');
    const listed = await new CommandLine(bob.options.home, cluster.folder).well('peers', '--json');
    expect(listed).toContain(ann.name);
    expect(listed).not.toContain(key);
  });
});
