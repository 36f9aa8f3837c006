import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Said } from '../process-kit/command-line.ts';
import { speak, tell, textOf } from './speak.ts';

const script = (name: string): string =>
  fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
const SCRIPT = script('vm');
/** Harmless for whoever is an ordinary user already. */
const ROOTLESS = script('rootless');
const PODMESH = 'podmesh/packages/cli/bin/podmesh';
/** A disk is built from packages first, where there is none. */
const START_MS = 25 * 60_000;
const COMMAND_MS = 12 * 60_000;

/** Its users: root, and an ordinary one with linger, in whose home the checkout lies. */
export type Account = 'root' | 'ada';

/** A Debian machine of its own with systemd, booted for the test by `scripts/vm`. */
export class VirtualMachine {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Booted, with this checkout and the busybox image in the hands of its ordinary user. */
  static async start(): Promise<VirtualMachine> {
    const machine = new VirtualMachine(await mkdtemp(join(tmpdir(), 'podmesh-vm-')));
    try {
      await machine.#script(START_MS, 'start');
      await machine.#script(COMMAND_MS, 'install');
      await machine.tell('ada', 'podmesh/scripts/build-image', 'busybox');
      return machine;
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#script(COMMAND_MS, 'stop');
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Brings an image of this machine's rootless Podman into that of the ordinary user there. */
  async load(image: string): Promise<void> {
    const pipe = '"$0" podman save "$1" | "$2" run "$3" ada podman load --quiet';
    await tell(['bash', '-euo', 'pipefail', '-c', pipe, ROOTLESS, image, SCRIPT, this.#directory]);
  }

  /** What one command says there, given this on its standard input, however it ends. */
  run(account: Account, words: readonly string[], input = ''): Promise<Said> {
    return speak([SCRIPT, 'run', this.#directory, account, ...words], input, COMMAND_MS);
  }

  /** Standard output of a command that has to succeed. */
  async tell(account: Account, ...words: readonly string[]): Promise<string> {
    return textOf(words, await this.run(account, words));
  }

  /** The command line as the ordinary user types it. */
  podmesh(words: readonly string[], input = ''): Promise<Said> {
    return this.run('ada', [PODMESH, ...words], input);
  }

  /** What the command line says with `--json`, of a command that has to succeed. */
  async tellJson(...words: readonly string[]): Promise<unknown> {
    const said = await this.podmesh([...words, '--json']);
    return JSON.parse(textOf(words, said));
  }

  async #script(limitMs: number, command: string): Promise<void> {
    textOf([SCRIPT, command], await speak([SCRIPT, command, this.#directory], '', limitMs));
  }
}
