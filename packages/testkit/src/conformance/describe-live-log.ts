import type { LiveLog, LogChunk, RunId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { freshRun, sampleTask } from '../samples.ts';
import { type Bench, type MakeBench, until, useBench, within } from './bench.ts';

type LiveLogBench = Bench<{ readonly liveLog: LiveLog }>;

/** What every live log must do, whatever is behind it: best effort, so the suite writes until it is seen. */
export function describeLiveLog(name: string, make: MakeBench<LiveLogBench>): void {
  describe(`${name}: LiveLog`, () => {
    const use = useBench(make);

    it('shows others what is written while they look', async () => {
      const { ports, other } = use();
      const run = freshRun();
      const seen = follow(other.liveLog, run);
      await until(use(), async () => {
        ports.liveLog.write(chunk(run, 1, 'hello'));
        ports.liveLog.write(chunk(freshRun(), 1, 'not for this one'));
        return seen.chunks.length > 0;
      });
      expect(seen.chunks[0]).toEqual(chunk(run, 1, 'hello'));
      expect(seen.chunks.every((one) => one.run === run)).toBe(true);
      await within(use(), 1_000, seen.end());
    });

    it('shows what is still there, in the order of one writer', async () => {
      const { ports, other } = use();
      const run = freshRun();
      const texts = ['1', '2', '3', '4'];
      for (const text of texts) ports.liveLog.write(chunk(run, 1, text));
      const seen = follow(other.liveLog, run);
      await until(use(), async () => seen.chunks.length >= texts.length);
      expect(seen.chunks.map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual(texts);
      await within(use(), 1_000, seen.end());
    });

    it('shows one task only when asked to', async () => {
      const { ports, other } = use();
      const run = freshRun();
      const seen = follow(other.liveLog, run, 2);
      await until(use(), async () => {
        ports.liveLog.write(chunk(run, 1, 'one'));
        ports.liveLog.write(chunk(run, 2, 'two'));
        return seen.chunks.length > 0;
      });
      expect(seen.chunks.every(({ task }) => task === sampleTask(2))).toBe(true);
      await within(use(), 1_000, seen.end());
    });
  });
}

function chunk(run: RunId, index: number, text: string): LogChunk {
  return { run, task: sampleTask(index), attempt: 1, bytes: new TextEncoder().encode(text) };
}

function follow(log: LiveLog, run: RunId, index?: number) {
  const stop = new AbortController();
  const chunks: LogChunk[] = [];
  const task = index === undefined ? undefined : sampleTask(index);
  const following = (async () => {
    for await (const one of log.follow(run, task, stop.signal)) {
      chunks.push({ ...one, bytes: Uint8Array.from(one.bytes) });
    }
  })();
  return {
    chunks,
    end: () => {
      stop.abort();
      return following;
    },
  };
}
