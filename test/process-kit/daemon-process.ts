import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { RunId } from '@podmesh/core';
import { untilSeen, within } from './within.ts';

const PROGRAM = fileURLToPath(new URL('../../packages/daemon/dist/main.js', import.meta.url));
/** Far beyond what a machine needs that is as slow as it is busy. */
const READY_MS = 240_000;
const STOP_MS = 120_000;
const SAID_MS = 240_000;
const WORDS_MAX = 16_000;
const DRIVING = / (no longer )?driving \(run=([a-z0-9]+)/;

export interface DaemonOptions {
  readonly name: string;
  readonly home: string;
  /** Absent: the daemon runs a server of its own. */
  readonly nats?: string;
  readonly cores?: number;
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Command that runs the daemon inside of something, such as `unshare …`. */
  readonly under?: readonly string[];
}

/** How a daemon ended, and what it said on standard error. */
export interface DaemonEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly said: string;
}

/** A real daemon on a home of its own that the test may kill, freeze and start again. */
export class DaemonProcess {
  readonly options: DaemonOptions;
  #child: ChildProcess | undefined;
  #end: Promise<DaemonEnd> | undefined;
  readonly #driving = new Set<string>();
  #said = '';
  #nats = '';

  constructor(options: DaemonOptions) {
    this.options = options;
  }

  get name(): string {
    return this.options.name;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Address of the mesh, as the daemon told it. */
  get nats(): string {
    return this.#nats;
  }

  /** Whether it drives the run, by its own words: no heartbeat tells it this soon. */
  isDriving(run: RunId): boolean {
    return this.#driving.has(run);
  }

  /** The end of everything its processes said on standard error, over all starts. */
  get said(): string {
    return `--- ${this.name} said:\n${this.#said}`;
  }

  /** Resolves when it has said so on standard error, at whatever time. */
  async untilSaid(words: string): Promise<void> {
    const what = () => `${this.name} to say "${words}"; ${this.said}`;
    await untilSeen(SAID_MS, what, () => this.#said.includes(words));
  }

  /** Resolves when it is ready; throws what it said when it ends instead. */
  async start(): Promise<void> {
    const child = this.#spawn();
    const ready = new Promise<string>((resolve, reject) => {
      if (child.stdout === null) throw new TypeError('a daemon tells on a pipe that it is ready');
      createInterface({ input: child.stdout }).once('line', resolve);
      this.#end?.then(({ code, signal }) => {
        reject(new Error(`${this.name} ended with ${signal ?? code} at its start; ${this.said}`));
      }, reject);
    });
    const line = await within(READY_MS, () => `${this.name} to be ready; ${this.said}`, ready);
    this.#nats = (JSON.parse(line) as { nats: string }).nats;
  }

  /** Of a daemon that is expected to refuse. */
  async startUntilItEnds(): Promise<DaemonEnd> {
    this.#spawn();
    return within(READY_MS, () => `${this.name} to refuse; ${this.said}`, this.end());
  }

  /** Resolves when it has ended, for whatever reason. */
  end(): Promise<DaemonEnd> {
    return this.#end ?? Promise.reject(new Error(`${this.name} was never started`));
  }

  /** SIGKILL: it gets no chance to say goodbye. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#end;
  }

  /** As a laptop whose lid is closed: all of its threads stand still. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Ends it in peace; with force, and an error, when that takes too long. Harmless when it is gone. */
  async stop(): Promise<DaemonEnd | undefined> {
    const child = this.#child;
    const end = this.#end;
    if (child === undefined || end === undefined) return undefined;
    this.thaw();
    child.kill('SIGTERM');
    try {
      return await within(STOP_MS, () => `${this.name} to stop; ${this.said}`, end);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Ends the Podman service that a killed daemon left: it belongs to this home and to nobody else. */
  async endPodmanService(): Promise<void> {
    const pidFile = join(this.options.home, 'podman.pid');
    const pid = Number(await readFile(pidFile, 'utf8').catch(() => '0'));
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (pid > 1 && words.includes(this.options.home)) process.kill(-pid, 'SIGTERM');
  }

  #spawn(): ChildProcess {
    const { name, home, nats, cores, words = [], env = {}, under = [] } = this.options;
    const own = ['--home', home, '--name', name];
    // What still runs at the end of a test is nobody's work.
    if (!words.includes('--grace')) own.push('--grace', '0s');
    if (nats !== undefined) own.push('--nats', nats);
    if (cores !== undefined) own.push('--cores', String(cores));
    // The machine that runs the tests may have fewer, and a daemon offers none that are not there.
    const pretence = cores === undefined ? {} : { PODMESH_PRETEND_CORES: String(cores) };
    const [program = process.execPath, ...rest] = [...under, process.execPath, PROGRAM, ...own];
    const child = spawn(program, [...rest, ...words], {
      env: { ...process.env, ...pretence, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#driving.clear();
    if (child.stderr !== null) {
      createInterface({ input: child.stderr }).on('line', (line) => this.#hear(line));
    }
    this.#end = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        if (this.#child === child) this.#child = undefined;
        if (signal !== 'SIGKILL') this.#said += `(ended with ${signal ?? `code ${code}`})\n`;
        resolve({ code, signal, said: this.#said });
      });
    });
    this.#end.catch(() => undefined);
    return child;
  }

  #hear(line: string): void {
    this.#said = `${this.#said}${line}\n`.slice(-WORDS_MAX);
    const [, noLonger, run] = DRIVING.exec(line) ?? [];
    if (run === undefined) return;
    if (noLonger === undefined) this.#driving.add(run);
    else this.#driving.delete(run);
  }
}
