import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunRecord } from '@podmesh/core';
import { CommandLine, type Said } from './command-line.ts';
import { removeFolder } from './remove-folder.ts';

/** A folder with documents, and a home whose peer carries a mesh of its own: as a new user has it. */
export class OwnMachine {
  readonly folder: string;
  readonly cli: CommandLine;
  readonly #cores: number;

  private constructor(folder: string, cores: number) {
    this.folder = folder;
    this.cli = new CommandLine(join(folder, 'home'), folder);
    this.#cores = cores;
  }

  /** `podmesh up` was done; `stop` has to follow, also where a test failed. */
  static async start(cores = 2): Promise<OwnMachine> {
    const machine = new OwnMachine(await mkdtemp(join(tmpdir(), 'podmesh-own-')), cores);
    try {
      await machine.up();
    } catch (error) {
      await machine.stop();
      throw error;
    }
    return machine;
  }

  /** Again, when its daemon was killed. */
  async up(): Promise<void> {
    const { code, err } = await this.cli.run('up', '--detach', '--cores', String(this.#cores));
    if (code !== 0) throw new Error(`podmesh up ended with ${code}: ${err}`);
  }

  async stop(): Promise<void> {
    await this.cli.run('down');
    await removeFolder(this.folder);
  }

  /** `podmesh run` of a document with these members, and what it said; `words` such as `--detach`. */
  async publish(document: object, ...words: readonly string[]): Promise<Said> {
    const text = JSON.stringify({ version: 1, ...document });
    await writeFile(join(this.folder, 'graph.json'), text);
    return this.cli.run('run', 'graph.json', ...words);
  }

  /** Of the last run. */
  async record(): Promise<RunRecord> {
    return JSON.parse(await this.cli.well('show', 'last', '--json')) as RunRecord;
  }

  /** What the running daemon says of itself. */
  async daemon(): Promise<{ readonly pid: number; readonly nats: string }> {
    const text = await readFile(join(this.folder, 'home', 'daemon.json'), 'utf8');
    return JSON.parse(text) as { pid: number; nats: string };
  }
}
