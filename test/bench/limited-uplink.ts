import { connect, createServer, type Socket } from 'node:net';

const SLICE_MS = 20;

/**
 * Stands in front of a server of this machine and lets through only so much of what that sends, for all its connections
 * together: as if there were a link of that speed. Resolves with the address to be dialled instead.
 */
export async function limitedUplink(target: string, bytesPerS: number): Promise<string> {
  const { hostname, port } = new URL(target);
  const waiting: (() => void)[] = [];
  let left = 0;
  let lastMs = performance.now();
  setInterval(() => {
    const nowMs = performance.now();
    // A busy machine is late with timers: what the link would have carried meanwhile it may carry now.
    left = Math.min(bytesPerS, left + (bytesPerS * (nowMs - lastMs)) / 1_000);
    lastMs = nowMs;
    while (left > 0 && waiting.length > 0) waiting.shift()?.();
  }, SLICE_MS).unref();
  const forward = (from: Socket, to: Socket): void => {
    from.on('data', (bytes) => {
      from.pause();
      const pass = (): void => {
        left -= bytes.length;
        to.write(bytes, () => from.resume());
      };
      if (left > 0) pass();
      else waiting.push(pass);
    });
    from.on('end', () => to.end());
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: hostname, port: Number(port), noDelay: true });
    near.pipe(far);
    forward(far, near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, hostname, resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the link has no address');
  return `http://${hostname}:${address.port}`;
}
