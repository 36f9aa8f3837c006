import { chmod, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { peerId } from '@podmesh/core';
import { freePort } from '@podmesh/jetstream';
import { PodmanService } from '@podmesh/podman';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { Ending } from '../../process-kit/ending.ts';
import {
  awaitGate,
  findContainers,
  MAKE_GATES,
  openGate,
} from '../../process-kit/podman-containers.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import type { PublishedRun } from '../../process-kit/published-run.ts';
import { untilSpoken } from '../../process-kit/tasks-that-speak.ts';
import { untilSeen } from '../../process-kit/within.ts';

const MINUTES = 60_000;
const OLD_VERSION = '2.9.10';
/** A peer claims nothing below 512 MiB, and again from 640 MiB. */
const SMALL_DISK_MIB = 720;
const OUTPUT_MIB = 32;
const PAUSE_MS = 240_000;

const hello = busyboxGraph([
  { id: 'hello', cache: false, command: shell('echo hello'), outputs: { words: 'fd:1' } },
]);

describe('a daemon in bad circumstances', () => {
  const ending = new Ending();
  let cluster: ProcessMesh;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    ending.defer(() => cluster.stop());
  }, 8 * MINUTES);

  afterAll(() => ending.end(), 8 * MINUTES);

  it(
    'refuses a home in which another one works, and does not disturb that one',
    async () => {
      const first = await cluster.addPeer('first');
      const announced = await readFile(join(first.options.home, 'daemon.json'), 'utf8');
      const second = new DaemonProcess(first.options);
      ending.defer(() => second.stop());
      const end = await second.startUntilItEnds();

      expect(end.code, end.said).toBe(1);
      expect(end.said).toContain(`another podmesh daemon uses ${first.options.home}`);
      expect(await readFile(join(first.options.home, 'daemon.json'), 'utf8')).toBe(announced);
      const run = await cluster.publish(hello);
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      await first.stop();
    },
    15 * MINUTES,
  );

  it(
    'names the version of a nats-server that is too old, and what to do',
    async () => {
      const fake = await fakeNatsServer(cluster.folder);
      const daemon = lonely('old-server', { PODMESH_NATS_SERVER: fake });
      const end = await daemon.startUntilItEnds();
      expect(end.code, end.said).toBe(1);
      expect(end.said).toMatch(/nats-server is too old/);
      expect(end.said).toContain(OLD_VERSION);
      expect(end.said).toMatch(/install .*nats-server/);
    },
    15 * MINUTES,
  );

  it(
    'passes over a nats-server in the PATH that is too old when there is a newer one',
    async () => {
      const fake = await fakeNatsServer(cluster.folder);
      const daemon = lonely('old-first', { PATH: `${join(fake, '..')}:${process.env.PATH}` });
      await daemon.start();
      expect(daemon.nats).toMatch(/^mesh:\//);
      await daemon.stop();
    },
    15 * MINUTES,
  );

  it(
    'names the version of a mesh that is too old',
    async () => {
      const port = await freePort();
      const server = await oldServer(port);
      ending.defer(async () => server.close());
      const daemon = lonely('old-mesh', {}, `nats://127.0.0.1:${port}`);
      const end = await daemon.startUntilItEnds();
      expect(end.code, end.said).toBe(1);
      expect(end.said).toContain(`nats-server ${OLD_VERSION} at nats://127.0.0.1:${port}`);
    },
    15 * MINUTES,
  );

  it(
    'says where it looked for Podman when nothing answers there',
    async () => {
      const daemon = cluster.newPeer('no-podman', {
        env: { PODMESH_PODMAN_SOCKET: '/nowhere/podman.sock' },
      });
      const end = await daemon.startUntilItEnds();
      expect(end.code, end.said).toBe(1);
      expect(end.said).toContain('PODMESH_PODMAN_SOCKET names /nowhere/podman.sock');
      expect(end.said).toContain('podman system service');
    },
    15 * MINUTES,
  );

  it(
    'reports a full disk as the failure of the machine, waits for room, and then goes on',
    async () => {
      // Podman stays outside: only the daemon's home lies on the small file system.
      const service = new PodmanService({
        env: process.env,
        directory: join(cluster.folder, 'podman'),
      });
      ending.defer(() => service.stop());
      await service.start();
      const disk = join(cluster.folder, 'small-disk');
      const daemon = await cluster.addPeer('small', {
        env: { PODMESH_PODMAN_SOCKET: service.socketPath },
        under: onSmallDisk(disk),
        homeIn: disk,
      });
      const command = shell(
        MAKE_GATES,
        'echo begun',
        awaitGate('last'),
        `dd if=/dev/zero of=/tmp/out bs=1M count=${OUTPUT_MIB}`,
      );
      const outputs = { out: 'file:/tmp/out' };
      const job = { id: 'write', cache: false, command, outputs };
      const run = await cluster.publish(busyboxGraph([job]));
      await untilSpoken(cluster.mesh, run);
      // The daemon's own view of its mount namespace.
      const filler = `/proc/${daemon.pid}/root${disk}/filler`;
      await fill(filler, SMALL_DISK_MIB - OUTPUT_MIB / 2);
      await untilPaused(cluster, daemon.name, true);
      await openGates(run);
      const failed = await run.until('attempt-failed');
      expect(failed.event.failure).toMatchObject({ kind: 'disk-host' });
      // The store finds it full, or the guard does and looks who wrote more than asked.
      expect(failed.event.failure.message).toMatch(
        /the machine's disk is full|of disk are free|^disk .* is full: /,
      );

      await rm(filler);
      await untilSpoken(cluster.mesh, run, { attempt: 2 });
      await openGates(run);
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      await daemon.stop();
    },
    15 * MINUTES,
  );

  /** A daemon of no mesh of ours. */
  function lonely(name: string, env: Record<string, string>, nats?: string): DaemonProcess {
    const home = join(cluster.folder, name);
    const daemon = new DaemonProcess({ name, home, env, ...(nats === undefined ? {} : { nats }) });
    ending.defer(() => daemon.endPodmanService());
    ending.defer(() => daemon.stop());
    return daemon;
  }
});

async function fakeNatsServer(folder: string): Promise<string> {
  const directory = join(folder, 'old-bin');
  await mkdir(directory, { recursive: true });
  const path = join(directory, 'nats-server');
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${OLD_VERSION}"\n`);
  await chmod(path, 0o755);
  return path;
}

/** As much of NATS as it takes to be asked for one's version. */
function oldServer(port: number): Promise<Server> {
  const greeting = JSON.stringify({
    server_id: 'old',
    version: OLD_VERSION,
    proto: 1,
    host: '127.0.0.1',
    port,
    headers: true,
    max_payload: 1_048_576,
    jetstream: true,
  });
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      if (bytes.toString('utf8').includes('PING')) socket.write('PONG\r\n');
    });
    socket.write(`INFO ${greeting}\r\n`);
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
}

/** Runs a command in a mount namespace of its own, where `folder` is a small file system. */
function onSmallDisk(folder: string): readonly string[] {
  const mount = `mount -t tmpfs -o size=${SMALL_DISK_MIB}m small "$0"`;
  const script = `mkdir -p "$0" && ${mount} && exec "$@"`;
  return ['unshare', '--map-current-user', '--keep-caps', '--mount', 'sh', '-c', script, folder];
}

async function fill(path: string, mebibytes: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let written = 0; written < mebibytes; written += 1)
      await file.write(Buffer.alloc(2 ** 20));
  } finally {
    await file.close();
  }
}

async function openGates(run: PublishedRun): Promise<void> {
  // That of an attempt before may still be removed.
  const running = (await findContainers({ run: run.run })).filter(
    ({ state }) => state === 'running',
  );
  expect(running.length, run.told()).toBe(1);
  for (const { id } of running) await openGate(id, 'last');
}

/** Whether a peer claims is part of its heartbeat. */
async function untilPaused({ mesh }: ProcessMesh, peer: string, wanted: boolean): Promise<void> {
  let told = '';
  const what = () =>
    `${peer} to tell ${wanted ? 'that it claims nothing' : 'that it claims again'}; it tells ${told}`;
  await untilSeen(PAUSE_MS, what, async () => {
    const entry = await mesh.peers.find(peerId(peer));
    told = JSON.stringify(entry?.paused ?? entry);
    return entry !== undefined && (entry.paused !== undefined) === wanted;
  });
}
