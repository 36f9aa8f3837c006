/** Does `work` for each item, at most `limit` at a time; the first error ends it and is thrown once all in flight have ended. */
export async function forEachBounded<T>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const line = async (): Promise<void> => {
    for (let step = iterator.next(); step.done !== true && !failed; step = iterator.next()) {
      try {
        await work(step.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lines = await Promise.allSettled(Array.from({ length: limit }, line));
  const broken = lines.find((one) => one.status === 'rejected');
  if (broken !== undefined) throw broken.reason;
}
