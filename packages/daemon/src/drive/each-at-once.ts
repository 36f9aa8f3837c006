/** What `work` makes of each, in their order; so many at the same time. Throws what the first of them throws. */
export async function eachAtOnce<T, U>(
  all: readonly T[],
  atOnce: number,
  work: (one: T) => U | Promise<U>,
): Promise<readonly U[]> {
  const made = new Array<U>(all.length);
  const left = all.entries();
  const lane = async (): Promise<void> => {
    for (const [position, one] of left) {
      const result = work(one);
      made[position] = result instanceof Promise ? await result : result;
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, lane));
  return made;
}
