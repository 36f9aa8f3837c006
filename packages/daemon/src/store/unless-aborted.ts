/**
 * What the work gives, but rejects with the signal's reason as soon as that aborts; nothing begins after that. The
 * work has a signal of its own: the attempt's would collect a listener for each of many inputs' waits.
 */
export async function unlessAborted<T>(
  work: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const stop = new AbortController();
  return await new Promise<T>((resolve, reject) => {
    const leave = (): void => {
      stop.abort(signal.reason);
      reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    work(stop.signal)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', leave));
  });
}
