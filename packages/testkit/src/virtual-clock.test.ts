import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from './virtual-clock.ts';

describe('VirtualClock', () => {
  it('runs events by time, and in the order of scheduling at equal times', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.after(20, () => seen.push('d'));
    clock.after(10, () => seen.push('a'));
    clock.after(10, () => {
      seen.push('b');
      clock.after(0, () => seen.push('c'));
    });
    const cancel = clock.after(15, () => seen.push('never'));
    cancel();
    expect(await clock.run(1_000)).toBe('idle');
    expect(seen).toEqual(['a', 'b', 'c', 'd']);
    expect(clock.nowMs()).toBe(1_000);
  });

  it('lets everything that follows from an event happen before the next one', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    const chain = async (name: string) => {
      for (let hop = 0; hop < 500; hop += 1) await undefined;
      await new Promise<void>((resolve) => process.nextTick(resolve));
      for (let hop = 0; hop < 500; hop += 1) await undefined;
      seen.push(name);
    };
    for (let index = 0; index < 200; index += 1) {
      clock.after(index, () => {
        seen.push(`event ${index}`);
        void chain(`chain ${index}`);
      });
    }
    await clock.run(1_000);
    const order = Array.from({ length: 200 }, (_, n) => [`event ${n}`, `chain ${n}`]).flat();
    expect(seen).toEqual(order);
  });

  it('stops at its time, and when it is told to', async () => {
    const clock = new VirtualClock();
    let count = 0;
    const tick = () => {
      count += 1;
      clock.after(10, tick);
    };
    tick();
    expect(await clock.run(105)).toBe('time');
    expect({ count, now: clock.nowMs() }).toEqual({ count: 11, now: 105 });
    expect(await clock.run(Number.POSITIVE_INFINITY, () => count === 20)).toBe('done');
    await clock.advance(50);
    expect(count).toBe(25);
  });

  it('fails with what an event throws', async () => {
    const clock = new VirtualClock();
    clock.after(5, () => {
      throw new RangeError('in an event');
    });
    await expect(clock.run(100)).rejects.toThrow('in an event');
    expect(await clock.run(100)).toBe('idle');
  });

  it('stands still during real work, whose results come in the order of its beginning', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.after(10, () => {
      for (const name of ['first', 'second', 'third']) {
        void clock
          .outside(() => readFile(import.meta.filename))
          .then(() => {
            seen.push(`${name} at ${clock.nowMs()}`);
          });
      }
    });
    clock.after(11, () => seen.push('event'));
    await clock.run(100);
    expect(seen).toEqual(['first at 10', 'second at 10', 'third at 10', 'event']);
  });
});
