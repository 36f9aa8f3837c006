import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestbed, type Testbed } from './container-testbed.test-kit.ts';

let bed: Testbed;
beforeAll(async () => {
  bed = await openTestbed();
});
afterAll(() => bed.close());

const FLOOD_BYTES = 300_000_000;
const MEMORY_BYTES_MAX = 150_000_000;

describe('a flood of output', () => {
  it('arrives in full and costs no memory', async () => {
    let bytes = 0;
    let peak = 0;
    let chunks = 0;
    const before = process.memoryUsage().rss;
    const container = await bed.start(
      { command: ['/bin/sh', '-c', `yes 0123456789 | head -c ${FLOOD_BYTES}; echo end >&2`] },
      (_, chunk) => {
        bytes += chunk.length;
        if (++chunks % 1_000 !== 0) return;
        peak = Math.max(peak, process.memoryUsage().rss);
      },
    );
    expect((await container.wait()).code).toBe(0);
    await container.remove();
    expect(bytes).toBe(FLOOD_BYTES + 4);
    expect(peak - before).toBeLessThan(MEMORY_BYTES_MAX);
  }, 120_000);
});
