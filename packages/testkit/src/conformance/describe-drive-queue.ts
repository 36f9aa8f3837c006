import type { Claimed, DriveQueue, RunId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { freshRun } from '../samples.ts';
import { all, type Bench, type MakeBench, take, useBench, within } from './bench.ts';

type DriveBench = Bench<{ readonly drives: DriveQueue }>;

const LONG_MS = 60_000;
const SHORT_MS = 300;

/** What every queue of drives must do, whatever is behind it. */
export function describeDriveQueue(name: string, make: MakeBench<DriveBench>): void {
  describe(`${name}: DriveQueue`, () => {
    const use = useBench(make);

    it('delivers a drive to one puller, and knows it until it is acknowledged', async () => {
      const { ports, other } = use();
      const run = freshRun();
      await ports.drives.publish(run);
      expect(await other.drives.waiting()).toEqual(new Set([run]));
      const claim = await one(other.drives);
      expect(claim.value).toBe(run);
      expect(await ports.drives.waiting()).toEqual(new Set([run]));
      const nothing = all(ports.drives.pull(1, SHORT_MS, never()));
      expect(await within(use(), SHORT_MS, nothing)).toEqual([]);
      await claim.ack();
      expect(await ports.drives.waiting()).toEqual(new Set());
    });

    it('delivers again what was given back', async () => {
      const { ports, other } = use();
      await ports.drives.publish(freshRun());
      const claim = await one(ports.drives);
      await claim.giveBack(0);
      expect((await one(other.drives)).sequence).toBe(claim.sequence);
    });

    it('delivers again what nobody extended', async () => {
      const { ports, other } = use();
      await ports.drives.publish(freshRun());
      const claim = await one(ports.drives);
      const again = await within(use(), LONG_MS, one(other.drives));
      expect(again.sequence).toBe(claim.sequence);
    });

    it('waits for drives that come later, and ends with its signal', async () => {
      const { ports, other } = use();
      const stop = new AbortController();
      const pulled: RunId[] = [];
      const pulling = (async () => {
        for await (const { value } of ports.drives.pull(5, LONG_MS, stop.signal)) {
          pulled.push(value);
          if (pulled.length === 2) stop.abort();
        }
      })();
      const runs = [freshRun(), freshRun()];
      for (const run of runs) await other.drives.publish(run);
      await within(use(), SHORT_MS, pulling);
      expect(new Set(pulled)).toEqual(new Set(runs));
    });
  });
}

async function one(drives: DriveQueue): Promise<Claimed<RunId>> {
  const [claim] = await take(drives.pull(1, LONG_MS, never()), 1);
  if (claim === undefined) throw new Error('nothing was delivered');
  return claim;
}

function never(): AbortSignal {
  return new AbortController().signal;
}
