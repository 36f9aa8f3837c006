import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import type { AttemptFiles } from './attempt-files.ts';
import type { Kitchen } from './chain.ts';
import { CrunFailedError } from './crun-errors.ts';
import type { Layers } from './recipe.ts';

const NO_MOUNT = 90;
const NOTHING_THERE = 91;
const WORDS_BYTES_MAX = 2_000;

/** The directory, below the root of what is read, that holds the resolving program. */
export const TOOLS = '.podmesh-tools';

/**
 * A tar stream of what is at `path` of an ended container, symbolic links at the path itself followed;
 * undefined: nothing there. The scratch layer and the image are mounted once more, read-only, where
 * only this process sees them. The path is resolved by a program whose root directory is the
 * container's, so no link and no `..` leads out; what comes of that has no links, and tar follows none.
 */
export async function openLayer(
  kitchen: Kitchen,
  files: AttemptFiles,
  layers: Layers,
  path: string,
): Promise<Readable | undefined> {
  const lower = `${kitchen.tools}:${files.upper}:${layers.lower}`;
  const [command, ...args] = kitchen.namespace.words([
    kitchen.busybox,
    ...[
      'sh',
      '-c',
      SCRIPT,
      'podmesh-read',
      layers.home,
      `lowerdir=${lower},userxattr,index=off,uuid=off`,
    ],
    ...[kitchen.merged, path, kitchen.tar],
  ]);
  const child = spawn(command, args, {
    env: kitchen.namespace.env,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-WORDS_BYTES_MAX);
  });
  const ended = once(child, 'close').then(([code]) => Number(code ?? -1));
  ended.catch(() => undefined);
  const archive = new PassThrough();
  child.stdout.on('error', (error) => archive.destroy(error));
  child.stdout.pipe(archive, { end: false });
  archive.on('close', () => child.stdout.destroy());
  const begun = await Promise.race([
    once(archive, 'readable').then(() => true),
    ended.then(() => false),
  ]);
  if (begun) {
    // Whatever went wrong must not look like the end of a shorter file.
    ended.then(
      (code) => finish(archive, code, words),
      (error) => archive.destroy(error),
    );
    return archive;
  }
  archive.destroy();
  if ((await ended) === NOTHING_THERE) return undefined;
  throw new CrunFailedError(`read ${path}`, words.trim() || `it ended with ${await ended}`);
}

function finish(archive: PassThrough, code: number, words: string): void {
  if (code === 0) archive.end();
  else archive.destroy(new CrunFailedError('read files of a container', words.trim() || `${code}`));
}

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the shell expands them
const SCRIPT = [
  `cd "$1" && mount -t overlay overlay -o "ro,$2" "$3" || exit ${NO_MOUNT}`,
  // The last letter keeps a line feed at the end of a name from being dropped.
  `p=$(chroot "$3" /${TOOLS}/busybox readlink -f "$4"; echo x)`,
  'p=${p%?x}',
  `case $p in /*) ;; *) exit ${NOTHING_THERE} ;; esac`,
  `[ -e "$3$p" ] || exit ${NOTHING_THERE}`,
  `if [ "$p" = / ]; then n=.; d=; x=--exclude=./${TOOLS}`,
  'else n=./${p##*/}; d=${p%/*}; x=; fi',
  'exec "$5" -C "$3$d/" $x --numeric-owner -cf - -- "$n"',
].join('\n');
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: the shell expands them
