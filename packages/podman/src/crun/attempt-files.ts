import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerLabels, PeerId } from '@podmesh/core';
import { readLabels } from '../container-labels.ts';
import { fdFile } from '../fd-launcher.ts';
import { CONFIG_BYTES_MAX, PROBLEM_BYTES_MAX } from './crun-limits.ts';
import { imageIn, type Layers, layersIn } from './recipe.ts';
import type { Scratch } from './scratch-stock.ts';

/**
 * What stands in an attempt's directory, in memory where there is a place for that: small files, the
 * streams, which are FIFOs, and links to what it has on the disk.
 */
export class AttemptFiles {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  get stdout(): string {
    return join(this.directory, 'stdout');
  }

  get stderr(): string {
    return join(this.directory, 'stderr');
  }

  /** crun writes the container's process id into it when the command runs, the chain a dot after the end. */
  get notice(): string {
    return join(this.directory, 'notice');
  }

  /** The chain holds it open, and with it the streams, until somebody who read the exit writes a line. */
  get release(): string {
    return join(this.directory, 'release');
  }

  get exit(): string {
    return join(this.directory, 'exit');
  }

  get crunLog(): string {
    return join(this.directory, 'crun.log');
  }

  get config(): string {
    return join(this.directory, 'config.json');
  }

  /** A link to the directory of the scratch layer. */
  get scratch(): string {
    return join(this.directory, 'scratch');
  }

  /** A link to the directory of the small files that Podman makes for each container. */
  get copies(): string {
    return join(this.directory, 'files');
  }

  get upper(): string {
    return join(this.scratch, 'upper');
  }

  /** Where overlayfs works; its own content is no task's. */
  get work(): string {
    return join(this.scratch, 'work');
  }

  get fifos(): readonly string[] {
    return [this.stdout, this.stderr, this.notice, this.release];
  }

  /** The directory of the `fd` outputs, on the disk as they may be large. */
  get outputs(): string {
    return join(this.scratch, 'fd');
  }

  outputFile(fd: number): string {
    return fdFile(this.outputs, fd);
  }

  /**
   * Makes all but the FIFOs. Synchronous: each of these calls takes ten microseconds, and its way
   * through Node's thread pool would take seventy. Throws `EEXIST` when the attempt has its
   * directory already; leaves nothing of its own when it throws.
   */
  make(config: object, { layer, files }: Scratch): void {
    mkdirSync(this.directory, { mode: 0o700 });
    try {
      symlinkSync(layer.directory, this.scratch);
      symlinkSync(files.directory, this.copies);
      writeFileSync(this.config, JSON.stringify(config));
    } catch (error) {
      // Half of it would tell a later daemon that the scratch is in use.
      this.remove();
      throw error;
    }
  }

  /** The directories on the disk that it uses. */
  places(): readonly string[] {
    return [this.scratch, this.copies].flatMap((link) => {
      try {
        return [readlinkSync(link)];
      } catch {
        return [];
      }
    });
  }

  /** Takes FIFOs for the streams: one for each. */
  takeFifos(made: readonly string[]): void {
    for (const [i, fifo] of this.fifos.entries()) renameSync(made[i] ?? '', fifo);
  }

  /** Takes the directory away, and nothing on the disk. Harmless when it is gone already. */
  remove(): void {
    try {
      for (const name of readdirSync(this.directory)) unlinkSync(join(this.directory, name));
      rmdirSync(this.directory);
    } catch {
      // Half gone already, or something in it that is not ours to expect.
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  /** Whether all that a chain needs was made: only then may one have been started. */
  isWhole(): boolean {
    return [this.config, ...this.fifos].every((path) => existsSync(path));
  }

  /** The files of `fd` outputs; anybody inside may write them, as an image may have its own user. */
  makeOutputs(fds: readonly number[]): void {
    if (fds.length > 0) mkdirSync(this.outputs, { mode: 0o755 });
    for (const fd of fds) {
      writeFileSync(this.outputFile(fd), '');
      chmodSync(this.outputFile(fd), 0o666);
    }
  }

  /** A task may have taken the right to read its streams away: they are this user's, inside and outside. */
  openUp(): void {
    for (const stream of [this.stdout, this.stderr]) {
      try {
        chmodSync(stream, 0o666);
      } catch {
        // Gone: then nobody will read it either.
      }
    }
  }

  /** The end of the chain, if it wrote all of it. */
  readExit(): ExitNote | undefined {
    // Looked for as often before it is there as after: an exception would cost ten times the look.
    if (!existsSync(this.exit)) return undefined;
    const text = readOr(this.exit);
    const match = /^(\d{1,3})\n.*\n(?:(\d+)m([\d.]+)s (\d+)m([\d.]+)s)\nend\n$/.exec(text);
    if (match === null) return undefined;
    const [code = 0, ...times] = match.slice(1).map(Number);
    const [userMin = 0, userSec = 0, systemMin = 0, systemSec = 0] = times;
    const cpuMs = Math.round((userMin + systemMin) * 60_000 + (userSec + systemSec) * 1_000);
    return { code, cpuMs, finishedMs: statSync(this.exit).mtimeMs };
  }

  /** When the chain was about to begin. */
  madeMs(): number {
    try {
      return statSync(this.config).mtimeMs;
    } catch {
      return Date.now();
    }
  }

  /** crun's own words, or the mount's. */
  readProblem(): string {
    const lines = readOr(this.crunLog).slice(-PROBLEM_BYTES_MAX).trim().split('\n');
    return lines.map(messageOf).join('; ');
  }
}

export interface ExitNote {
  readonly code: number;
  /** Of the command, crun and the mount together. */
  readonly cpuMs: number;
  readonly finishedMs: number;
}

/** What a later daemon needs to know of an attempt. */
export interface AttemptFacts {
  readonly labels: ContainerLabels;
  readonly layers: Layers;
  readonly image: string;
  readonly cgroup?: string;
}

/** Reads it from the container's configuration; undefined where that is not one of ours, or half written. */
export async function readFacts(
  files: AttemptFiles,
  peer: PeerId,
): Promise<AttemptFacts | undefined> {
  try {
    const config: unknown = JSON.parse(await readBounded(files.config));
    const annotations = stringsAt(config, 'annotations');
    const labels = readLabels(annotations);
    const layers = layersIn(annotations);
    const image = imageIn(annotations);
    if (labels?.peer !== peer || layers === undefined || image === undefined) return undefined;
    const cgroupsPath = memberOf(memberOf(config, 'linux'), 'cgroupsPath');
    const cgroup = typeof cgroupsPath === 'string' ? cgroupsPath.replace(/\/c$/, '') : undefined;
    return { labels, layers, image, ...(cgroup === undefined ? {} : { cgroup }) };
  } catch {
    return undefined;
  }
}

async function readBounded(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size > CONFIG_BYTES_MAX) throw new Error('too large');
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return new Map(Object.entries(value)).get(name);
}

function stringsAt(value: unknown, name: string): Record<string, string> {
  const found = memberOf(value, name);
  if (typeof found !== 'object' || found === null) return {};
  const entries = Object.entries(found).filter(([, text]) => typeof text === 'string');
  return Object.fromEntries(entries) as Record<string, string>;
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function messageOf(line: string): string {
  try {
    const parsed: unknown = JSON.parse(line);
    return String(memberOf(parsed, 'msg') ?? line);
  } catch {
    return line;
  }
}
