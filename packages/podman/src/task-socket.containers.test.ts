import { mkdir, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CrunTestbed, openCrunTestbed } from './crun/crun-testbed.test-kit.ts';

let bed: CrunTestbed;
beforeAll(async () => {
  bed = await openCrunTestbed();
});
afterAll(() => bed.close());

const LOOK =
  'readlink /run/podmesh.sock; ls /run/podmesh; test -S /run/podmesh.sock && echo socket; ' +
  'stat -c "%a %n" /run /run/podmesh; touch /run/podmesh/x 2>/dev/null || echo read-only';

it('a task finds its socket at the same place in both lanes, and cannot touch the directory', async () => {
  const socketDir = join(bed.podman.directory, 'socket');
  await mkdir(socketDir);
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen({ path: join(socketDir, 'sock') }, () => resolve());
  });
  try {
    const spec = { socketDir, command: ['/bin/sh', '-c', LOOK] };
    const [crun, podman] = [await bed.run(spec), await bed.podman.run(spec)];
    expect(crun.out).toBe(podman.out);
    expect(crun.out).toBe('podmesh/sock\nsock\nsocket\n755 /run\n755 /run/podmesh\nread-only\n');
    expect((await stat(join(socketDir, 'sock'))).isSocket()).toBe(true);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});
