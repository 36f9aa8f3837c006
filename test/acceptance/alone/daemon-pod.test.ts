import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BUSYBOX } from '../../process-kit/podman-containers.ts';
import { removeFolder } from '../../process-kit/remove-folder.ts';
import { untilSeen } from '../../process-kit/within.ts';

const run = promisify(execFile);
const here = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const PODMESH = here('packages/cli/bin/podmesh');
const LIMIT_MS = 300_000;

let place: string;
let pod: string;
let service: ReturnType<typeof spawn>;

/** Resolves once the file is there. */
const untilThere = (path: string): Promise<void> =>
  untilSeen(
    LIMIT_MS,
    () => `${path} to be there`,
    () => existsSync(path),
  );

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'podmesh-pod-'));
  pod = join(place, 'pod.yaml');
  const socket = join(place, 'run', 'podman', 'podman.sock');
  await mkdir(join(place, 'run', 'podman'), { recursive: true });
  await mkdir(join(place, '.local', 'share', 'podmesh'), { recursive: true });
  // As systemd's podman.socket would.
  service = spawn('podman', ['system', 'service', '--time=0', `unix://${socket}`], {
    stdio: 'ignore',
  });
  await run(here('scripts/build-image'), ['busybox', 'daemon']);
  await untilThere(socket);
  const text = await readFile(here('podman/daemon/podmesh.yaml'), 'utf8');
  const own = text
    .replaceAll('USER_HOME', place)
    .replaceAll('USER_RUNTIME', join(place, 'run'))
    // Other tests of this machine may serve images, too.
    .replace('"podman"]', '"podman", "--registry-port", "0"]')
    .replace('name: podmesh\n', 'name: podmesh-pod-test\n');
  await writeFile(pod, own);
}, LIMIT_MS);

afterAll(async () => {
  await run('podman', ['kube', 'down', pod]).catch(() => undefined);
  // What the pod itself needed beside the image.
  await run('podman', ['rmi', '--force', 'localhost/podmesh/daemon:1']).catch(() => undefined);
  const ended = once(service, 'exit');
  service.kill();
  await ended;
  await removeFolder(place);
}, LIMIT_MS);

it(
  'the pod of podman/daemon is a peer whose tasks are containers of its host',
  async () => {
    await run('podman', ['kube', 'play', pod]);
    const file = join(place, '.local', 'share', 'podmesh', 'daemon.json');
    await untilThere(file);
    const { nats } = JSON.parse(await readFile(file, 'utf8')) as { nats: string };
    const env = { ...process.env, PODMESH_HOME: join(place, 'user'), PODMESH_NATS: nats };
    await writeFile(join(place, 'words'), 'from the host');
    const job = {
      id: 'a',
      cache: false,
      container: BUSYBOX,
      inputs: { words: 'file:words' },
      // What the daemon writes for a task has to be where the Podman of the host mounts it from.
      command: ['sh', '-c', 'cat /in/words; test -S /run/podmesh/sock && echo " and answered"'],
      outputs: { said: 'fd:1' },
    };
    const graph = join(place, 'graph.json');
    await writeFile(graph, JSON.stringify({ version: 1, jobs: [job] }));
    await run(PODMESH, ['run', graph, '--json'], { env });
    const said = await run(PODMESH, ['get', 'last/a/said', '-o', '-'], { env });
    expect(said.stdout).toBe('from the host and answered\n');
    await run('podman', ['pod', 'stop', '--time', '120', 'podmesh-pod-test']);
    // It ended as a daemon should: nobody finds it any more.
    await expect(access(file)).rejects.toThrow('ENOENT');
  },
  LIMIT_MS,
);
