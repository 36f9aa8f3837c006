import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { BenchMesh } from './bench-mesh.ts';

const PROGRAM = fileURLToPath(import.meta.url).replace(
  /artifact-child(\.[a-z]+)$/,
  'artifact-process$1',
);

/** An `artifact-process` whose answers are lines. */
export class ArtifactChild {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  constructor(...words: readonly string[]) {
    this.#process = spawn(process.execPath, [PROGRAM, ...words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#reader = createInterface({ input: this.#process.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** A peer that is ready. `uplinkMiB`: what it can give to others in a second; 0: whatever it can. */
  static async peer(
    mesh: BenchMesh,
    name: string,
    root: string,
    uplinkMiB = 0,
  ): Promise<ArtifactChild> {
    const child = new ArtifactChild('peer', mesh.url, name, root, String(uplinkMiB));
    await child.next();
    return child;
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error('an artifact process did not begin');
    return pid;
  }

  async next<Answer>(): Promise<Answer> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('an artifact process ended');
    return JSON.parse(line.value) as Answer;
  }

  ask<Answer>(order: string): Promise<Answer> {
    this.#process.stdin.write(`${order}\n`);
    return this.next();
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin.end();
    await ended;
    this.#reader.close();
  }
}
