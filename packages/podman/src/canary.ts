import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, readFileSync, readlinkSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ContainerLabels, ContainerRuntime, ContainerSpec, PeerId } from '@podmesh/core';
import { claimId, ok, type Result, refused, runId, taskId } from '@podmesh/core';
import { pack } from 'tar-stream';
import { isAlive } from './crun/container-process.ts';
import { CANARY_MS_MAX } from './podman-limits.ts';

/** Known by its content, so that it is loaded once and never taken for somebody else's. */
const RUN = runId('canary000000');
const IMAGE = 'localhost/podmesh/canary:1';
const SONG = 'the canary sings\n';
const MEMORY_BYTES = 64 * 1024 * 1024;
/** How the directories of canaries begin, wherever temporary files are. */
const CAGE = 'podmesh-canary-';
/** No canary lives so long, its removal included. */
const CAGE_MS_MAX = 15 * 60 * 1_000;

/**
 * Runs a container that needs all that a task's container needs: an image, an input, the log, an
 * output in a descriptor and one in a file, and an exit. Undefined when all of it worked; else what did
 * not. A dead canary has labels like any task's container, so it is found and removed like one, but
 * not while another flies (see `RuntimeChoice`).
 */
export async function runCanary(
  runtime: ContainerRuntime,
  peer: PeerId,
  busybox: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(CANARY_MS_MAX)]);
  const directory = await mkdtemp(join(tmpdir(), `${CAGE}${ownName()}-`));
  try {
    const image = await canaryImage(runtime, busybox, directory, limited);
    if (!image.ok) return image.error;
    return await fly(runtime, await specOf(peer, image.value, directory), limited);
  } catch (error) {
    if (signal.aborted) return 'the canary was called back';
    if (limited.aborted) return `the canary did not come back within ${CANARY_MS_MAX / 1_000} s`;
    return error instanceof Error ? error.message : String(error);
  } finally {
    await rm(directory, { recursive: true, force: true }).catch(() => undefined);
  }
}

/**
 * Removes the directories of canaries whose daemon was killed during their flight. Not of the daemon's
 * home, which the runtimes do not know; so each is named after its process, and goes when that is gone,
 * or, where nobody here could tell, when it is old.
 */
export async function sweepCanaries(): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    if (!name.startsWith(CAGE)) continue;
    const path = join(tmpdir(), name);
    const found = await lstat(path).catch(() => undefined);
    if (!found?.isDirectory() || found.uid !== process.getuid?.()) continue;
    const isOver = isOrphan(name) || Date.now() - found.mtimeMs > CAGE_MS_MAX;
    if (isOver) await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Whether a container is a canary: of a probe that goes on, or of a daemon that died during one. */
export function isCanary({ run }: ContainerLabels): boolean {
  return run === RUN;
}

/** This process, so that no other one of this machine is taken for it: the namespace, the number, the start. */
function ownName(): string {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  // The name in parentheses may hold anything, spaces too.
  const startTicks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return `${ownNamespace()}.${process.pid}.${startTicks}`;
}

/** Numbers of processes of other namespaces say nothing here. */
function isOrphan(name: string): boolean {
  const [, namespace, pid, startTicks] = /^[a-z-]+(\d+)\.(\d+)\.(\d+)-/.exec(name) ?? [];
  if (namespace !== ownNamespace()) return false;
  return !isAlive({ pid: Number(pid), startTicks: Number(startTicks) });
}

function ownNamespace(): string {
  return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
}

async function fly(
  runtime: ContainerRuntime,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<string | undefined> {
  const heard: Buffer[] = [];
  const started = await runtime.start(spec, (_, bytes) => heard.push(Buffer.from(bytes)), signal);
  if (!started.ok) return started.error.message;
  const container = started.value;
  try {
    const exit = await orAborted(container.wait(), signal);
    const song = Buffer.concat(heard).toString();
    if (exit.code !== 0) return `the canary ended with ${exit.code}: ${song.trim()}`;
    if (song !== SONG) return `the canary sang ${JSON.stringify(song)}`;
    for (const output of Object.values(spec.outputs)) {
      const read = await container.readOutput(output);
      if (!read.ok) return read.error.message;
      for await (const entry of read.value) {
        if (entry.kind === 'file') for await (const _ of entry.content);
      }
    }
    return undefined;
  } finally {
    await container.remove();
  }
}

async function specOf(peer: PeerId, image: string, directory: string): Promise<ContainerSpec> {
  const input = join(directory, 'song');
  const scratchDir = join(directory, 'scratch');
  await writeFile(input, SONG);
  await mkdir(scratchDir, { mode: 0o700 });
  return {
    labels: {
      run: RUN,
      task: taskId('canary'),
      attempt: 1,
      peer,
      claim: claimId(`canary-${randomBytes(6).toString('hex')}`),
    },
    image,
    command: ['/bin/sh', '-c', 'cat /in/song && cat /in/song >/tmp/song && echo three >&3'],
    env: {},
    inputs: { song: input },
    outputs: { file: { kind: 'file', path: '/tmp/song' }, three: { kind: 'fd', fd: 3 } },
    net: false,
    requirements: { cpus: 1, memoryBytes: MEMORY_BYTES, diskBytes: 0, gpus: 0, labels: [] },
    scratchDir,
  };
}

/** Loaded from an archive that is made here, as no registry can be relied on. */
async function canaryImage(
  runtime: ContainerRuntime,
  busybox: string,
  directory: string,
  signal: AbortSignal,
): Promise<Result<string, string>> {
  const { arch } = await runtime.describe();
  const archive = join(directory, 'image.tar');
  const { id, bytes } = await buildImage(await readFile(busybox), arch);
  const there = await runtime.resolveImage(id, false, signal);
  if (there.ok) return there;
  await pipeline(bytes, createWriteStream(archive));
  const loaded = await runtime.loadImage(archive, signal);
  return loaded.ok ? ok(loaded.value) : refused(loaded.error.message);
}

/** A docker archive of one layer with busybox in it, the same for the same busybox; its id is that of its configuration. */
async function buildImage(
  busybox: Uint8Array,
  arch: string,
): Promise<{ id: string; bytes: ReturnType<typeof pack> }> {
  const layer = await layerOf(busybox);
  const config = JSON.stringify({
    architecture: arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: ['/bin/sh'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'podmesh' }],
  });
  const bytes = pack();
  const manifest = [{ Config: 'config.json', RepoTags: [IMAGE], Layers: ['layer.tar'] }];
  bytes.entry({ name: 'manifest.json' }, JSON.stringify(manifest));
  bytes.entry({ name: 'config.json' }, config);
  bytes.entry({ name: 'layer.tar' }, layer);
  bytes.finalize();
  return { id: `sha256:${sha256(config)}`, bytes };
}

async function layerOf(busybox: Uint8Array): Promise<Buffer> {
  const layer = pack();
  const mtime = new Date(0);
  for (const name of ['bin', 'dev', 'etc', 'in', 'proc', 'run', 'sys', 'tmp']) {
    layer.entry({ name, type: 'directory', mode: name === 'tmp' ? 0o1777 : 0o755, mtime });
  }
  layer.entry({ name: 'bin/busybox', mode: 0o755, mtime }, Buffer.from(busybox));
  for (const applet of ['sh', 'cat']) {
    layer.entry({ name: `bin/${applet}`, type: 'symlink', linkname: 'busybox', mtime });
  }
  layer.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of layer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function orAborted<T>(value: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
  try {
    return await Promise.race([value, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
