import { describe, expect, it } from 'vitest';
import { Stock } from './stock.ts';

/** A maker that makes three at a time, or as it is told. */
function counted(low: number) {
  const now = { made: 0, make: async () => undefined as undefined };
  const stock = new Stock(async () => {
    await now.make();
    return [0, 1, 2].map(() => now.made++);
  }, low);
  return { now, stock };
}

describe('Stock', () => {
  it('never gives one twice, however many take at the same time', async () => {
    const { stock } = counted(2);
    const counts = Array.from({ length: 60 }, (_, i) => 1 + (i % 5));
    const taken = await Promise.all(
      counts.map(async (count) => {
        const items = await stock.take(count);
        expect(items).toHaveLength(count);
        // Some come back while others still wait.
        if (count === 3) for (const item of items) stock.give(item);
        return count === 3 ? [] : items;
      }),
    );
    expect(new Set(taken.flat()).size).toBe(taken.flat().length);
  });

  it('makes no more than are needed at the same time', async () => {
    const { stock, now } = counted(0);
    await Promise.all([stock.start(), stock.start(), stock.take(1), stock.take(2)]);
    expect({ made: now.made, size: stock.size }).toEqual({ made: 3, size: 0 });
  });

  it('makes more ahead when there are few', async () => {
    const { stock, now } = counted(2);
    await stock.start();
    await stock.take(1);
    expect(now.made).toBe(3);
    await stock.take(1);
    await expect.poll(() => stock.size).toBe(4);
  });

  it('takes those that were given back after all others', async () => {
    const { stock } = counted(0);
    await stock.start();
    const [first = -1] = await stock.take(1);
    stock.give(first);
    expect(await stock.take(3)).toEqual([1, 2, 0]);
  });

  it('tells everybody who waits that making failed, and tries again for the next', async () => {
    const { stock, now } = counted(2);
    now.make = () => Promise.reject(new Error('no space left'));
    await expect(stock.start()).rejects.toThrow('no space left');
    const both = await Promise.allSettled([stock.take(1), stock.take(4)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    now.make = async () => undefined;
    expect(await stock.take(4)).toEqual([0, 1, 2, 3]);
  });

  it('does not tell who got what there was, though no more could be made', async () => {
    const { stock, now } = counted(3);
    await stock.start();
    now.make = () => Promise.reject(new Error('no space left'));
    expect(await stock.take(3)).toEqual([0, 1, 2]);
    await expect(stock.take(1)).rejects.toThrow('no space left');
  });

  it('makes nothing after its stop, which waits for what is being made', async () => {
    const { stock, now } = counted(3);
    await stock.stop();
    await expect(stock.take(1)).rejects.toThrow('closed');
    expect(now.made).toBe(0);
    const busy = counted(3);
    await busy.stock.start();
    await busy.stock.take(1);
    await busy.stock.stop();
    await busy.stock.stop();
    expect({ made: busy.now.made, size: busy.stock.size }).toEqual({ made: 6, size: 5 });
    await busy.stock.take(4);
    expect(busy.now.made).toBe(6);
  });
});
