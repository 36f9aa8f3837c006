import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PortError } from '@podmesh/core';
import { type Env, socketCandidates } from './find-socket.ts';
import { registryOf } from './image-name.ts';
import { IMAGE_BUILD_MS_MAX } from './podman-limits.ts';

/** What to build from which directory, as `podman build` takes it. */
export interface ImageBuild {
  /** The context: what `COPY` can reach. */
  readonly directory: string;
  /** The Containerfile; absent: the one in the directory. */
  readonly file?: string;
  /** What the image is called afterwards. */
  readonly name: string;
}

/** The build did not succeed; its output, which the caller has seen, says why. */
export class ImageBuildError extends PortError {
  constructor(message: string, cause?: unknown) {
    super(message, { retryable: false, cause });
  }
}

/** Of `statfs`: the file system of a machine whose cgroups are v2 throughout. */
const CGROUP2_MAGIC = 0x63677270;

/**
 * Builds with the podman command, whose output goes to `say` as it comes; the image's id. Throws an
 * `ImageBuildError`.
 */
export async function buildImage(
  build: ImageBuild,
  env: Env,
  say: (bytes: Uint8Array) => void,
  signal: AbortSignal,
): Promise<string> {
  const place = await mkdtemp(join(tmpdir(), 'podmesh-build-'));
  try {
    const idFile = join(place, 'id');
    const words = buildWords(build, idFile, {
      isUnified: await hasUnifiedCgroups(),
      socketPath: namedSocket(env),
    });
    await runPodman(
      words,
      env,
      say,
      AbortSignal.any([signal, AbortSignal.timeout(IMAGE_BUILD_MS_MAX)]),
    );
    return (await readFile(idFile, 'utf8')).trim();
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/**
 * The words after `podman`. The one place that decides how the commands of a build are kept apart: where
 * cgroups are hybrid crun refuses to run them, and a chroot does (FACTS).
 */
export function buildWords(
  { directory, file, name }: ImageBuild,
  idFile: string,
  machine: { readonly isUnified: boolean; readonly socketPath: string | undefined },
): readonly string[] {
  const { isUnified, socketPath } = machine;
  return [
    ...(socketPath === undefined ? [] : ['--url', `unix://${socketPath}`]),
    'build',
    ...(isUnified ? [] : ['--isolation', 'chroot']),
    ...['--iidfile', idFile, '--tag', name],
    ...(file === undefined ? [] : ['--file', file]),
    '--',
    directory,
  ];
}

/** The whole name of an image that is built as `tag`: what Podman makes of a short one. */
export function builtName(tag: string): string {
  const name = registryOf(tag) === undefined ? `localhost/${tag}` : tag;
  return name.lastIndexOf(':') > name.lastIndexOf('/') ? name : `${name}:latest`;
}

async function hasUnifiedCgroups(): Promise<boolean> {
  return await statfs('/sys/fs/cgroup').then(
    ({ type }) => type === CGROUP2_MAGIC,
    () => false,
  );
}

/** Where a person said that Podman is: then images belong there, and not into the store of this process's user. */
function namedSocket(env: Env): string | undefined {
  return socketCandidates(env).find(({ required }) => required)?.socketPath;
}

function runPodman(
  words: readonly string[],
  env: Env,
  say: (bytes: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('podman', words, {
      env: { ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
    });
    child.stdout.on('data', say);
    child.stderr.on('data', say);
    let failure: Error | undefined;
    child.on('error', (error) => {
      failure = error;
      if (child.pid === undefined) reject(failed('podman could not be run', error));
    });
    child.on('close', (code, name) => {
      if (signal.aborted) reject(failed('the build was given up', failure));
      else if (code === 0) resolve();
      else reject(failed(`podman build ended with ${name ?? `code ${code}`}`, failure));
    });
  });
}

function failed(what: string, cause: Error | undefined): ImageBuildError {
  return new ImageBuildError(`${what}; no image was built`, cause);
}
