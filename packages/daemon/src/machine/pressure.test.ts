import { describe, expect, it } from 'vitest';
import {
  FREE_DISK_BYTES_MIN,
  type HostState,
  judgeDisk,
  judgeMemory,
  type MemoryReading,
  parseMemory,
  readMemory,
} from './pressure.ts';

const calm: HostState = { kind: 'calm' };
const pressed: HostState = { kind: 'pressed', reason: '' };
const reading = (changes: Partial<MemoryReading>): MemoryReading => ({
  totalBytes: 1_000,
  availableBytes: 500,
  ...changes,
});

describe('memory', () => {
  it.each([
    [{}, calm, 'calm'],
    [{ availableBytes: 49 }, calm, 'pressed'],
    [{ availableBytes: 24 }, calm, 'emergency'],
    [{ someStalled: 0.2, fullStalled: 0.05 }, calm, 'calm'],
    [{ someStalled: 0.21 }, calm, 'pressed'],
    [{ someStalled: 0.9 }, calm, 'pressed'],
    [{ fullStalled: 0.06 }, calm, 'pressed'],
    [{ fullStalled: 0.31 }, calm, 'emergency'],
    // It has to become better than it was when it became bad.
    [{ availableBytes: 79 }, pressed, 'pressed'],
    [{ availableBytes: 80 }, pressed, 'calm'],
    [{ someStalled: 0.11 }, pressed, 'pressed'],
    [{ fullStalled: 0.03 }, pressed, 'pressed'],
    [{ someStalled: 0.1, fullStalled: 0.02 }, pressed, 'calm'],
  ] as const)('with %j after %j is %s', (changes, before, kind) => {
    expect(judgeMemory(reading(changes), before).kind).toBe(kind);
  });

  it('is told with its numbers and what to do', () => {
    const told = judgeMemory(
      { totalBytes: 8 * 2 ** 30, availableBytes: 300 * 2 ** 20, someStalled: 0.42 },
      calm,
    );
    expect(told).toMatchObject({
      reason: expect.stringMatching(
        /^memory pressure: 300 MiB of 8,192 MiB are available, tasks waited 42% .*--memory$/,
      ),
    });
  });

  it('is read from the kernel, with and without PSI', async () => {
    const meminfo = 'MemTotal:       24684092 kB\nMemFree: 1 kB\nMemAvailable:   22437920 kB\n';
    const pressure =
      'some avg10=12.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n';
    const amounts = { totalBytes: 24684092 * 1024, availableBytes: 22437920 * 1024 };
    expect(parseMemory(meminfo, pressure)).toEqual({
      ...amounts,
      someStalled: 0.125,
      fullStalled: 0.01,
    });
    expect(parseMemory(meminfo, '')).toEqual(amounts);
    const here = await readMemory();
    expect(here.availableBytes).toBeGreaterThan(0);
    expect(here.totalBytes).toBeGreaterThan(here.availableBytes);
  });
});

it.each([
  [1, calm, 'calm'],
  [0.99, calm, 'pressed'],
  [1.2, pressed, 'pressed'],
  [1.25, pressed, 'calm'],
  [0.49, calm, 'emergency'],
] as const)('a disk with %d times the floor free after %j is %s', (times, before, kind) => {
  expect(judgeDisk(times * FREE_DISK_BYTES_MIN, before, '/home').kind).toBe(kind);
});
