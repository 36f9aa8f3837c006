import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { collect } from '../container-testbed.test-kit.ts';
import type { ExitNote } from './attempt-files.ts';
import { type ChainFiles, ChainWatch } from './chain-watch.ts';

const { O_NONBLOCK, O_RDWR } = constants;
const NAMES = ['stdout', 'stderr', 'notice', 'release'] as const;
const NOTE: ExitNote = { code: 7, cpuMs: 1, finishedMs: 2 };
/** As much as a pipe holds. */
const PIPE_FULL = 'x'.repeat(64 * 1024);

/** The FIFOs of an attempt, and the ends of them that a chain holds. */
class TestChain {
  readonly files: ChainFiles;
  note: ExitNote | undefined;
  readonly #fds: Readonly<Record<(typeof NAMES)[number], number>>;
  #isOpen = true;

  constructor(directory: string) {
    const paths = NAMES.map((name) => join(directory, name));
    execFileSync('sh', ['-c', 'mkfifo "$@"', 'sh', ...paths]);
    const [stdout = '', stderr = '', notice = '', release = ''] = paths;
    const open = (path: string) => openSync(path, O_RDWR | O_NONBLOCK);
    this.files = {
      ...{ stdout, stderr, notice, release },
      readExit: () => this.note,
      madeMs: () => 1,
    };
    this.#fds = {
      stdout: open(stdout),
      stderr: open(stderr),
      notice: open(notice),
      release: open(release),
    };
  }

  say(name: 'stdout' | 'stderr' | 'notice', text: string): void {
    expect(writeSync(this.#fds[name], text)).toBe(text.length);
  }

  /** Writes down the exit, and says so. */
  end(): void {
    this.note = NOTE;
    this.say('notice', '\n7.');
  }

  /** Whether it was told to go since it was asked last. */
  isReleased(): boolean {
    try {
      return readSync(this.#fds.release, Buffer.alloc(9)) > 0;
    } catch {
      return false;
    }
  }

  /** As a chain that is no more. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const fd of Object.values(this.#fds)) closeSync(fd);
  }
}

async function newChain() {
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-watch-'));
  const chain = new TestChain(directory);
  onTestFinished(async () => {
    chain.close();
    await rm(directory, { recursive: true, force: true });
  });
  const open = () => {
    const watch = new ChainWatch(chain.files);
    onTestFinished(() => watch.close(new Error('the test is over')));
    return watch;
  };
  return { chain, open };
}

describe('ChainWatch', () => {
  it('hands everything over before it tells the chain to go', async () => {
    const { chain, open } = await newChain();
    const watch = open();
    watch.listen();
    const log = collect();
    const releasedAt: boolean[] = [];
    watch.pour((stream, bytes) => {
      releasedAt.push(chain.isReleased());
      log.sink(stream, bytes);
    });
    chain.say('stdout', PIPE_FULL);
    chain.say('stderr', 'the last words');
    chain.end();
    await expect.poll(() => chain.isReleased(), { interval: 1 }).toBe(true);
    expect(log.out()).toBe(PIPE_FULL);
    expect(log.err()).toBe('the last words');
    expect(releasedAt).not.toContain(true);
    chain.close();
    expect(await watch.end).toBe(NOTE);
    expect(watch.isOver).toBe(true);
  });

  it('does not tell it before somebody takes the streams, and reads none of them', async () => {
    const { chain, open } = await newChain();
    const first = open();
    first.listen();
    chain.say('notice', '12');
    expect(await first.started).toBe(true);
    chain.say('stdout', 'unread');
    chain.end();
    await turns();
    expect(chain.isReleased()).toBe(false);
    // As if that daemon had died: the next one has it all.
    first.close(new Error('killed'));
    const log = collect();
    const second = open();
    second.listen();
    second.pour(log.sink);
    expect(log.out()).toBe('unread');
    expect(chain.isReleased()).toBe(true);
    chain.close();
    expect(await second.end).toBe(NOTE);
  });

  it('drops the streams of who only waits', async () => {
    const { chain, open } = await newChain();
    chain.say('stdout', PIPE_FULL);
    chain.end();
    const end = open().end;
    expect(chain.isReleased()).toBe(true);
    chain.close();
    expect(await end).toBe(NOTE);
  });

  it('keeps the order of what comes and what is fetched', async () => {
    const { chain, open } = await newChain();
    const watch = open();
    const log = collect();
    watch.pour(log.sink);
    watch.listen();
    let said = '';
    for (let round = 0; round < 50; round += 1) {
      const line = `${round}\n`.repeat(500);
      chain.say('stdout', line);
      said += line;
      if (round % 7 === 0) await turns();
    }
    chain.end();
    chain.close();
    expect(await watch.end).toBe(NOTE);
    expect(log.out()).toBe(said);
  });

  it('does not read what a chain without an end left behind', async () => {
    const { chain, open } = await newChain();
    chain.say('notice', '12');
    const watch = open();
    expect(watch.hasBegun).toBe(false);
    watch.listen();
    expect(await watch.started).toBe(true);
    chain.close();
    watch.lookAgain();
    expect(await watch.end).toBeUndefined();
  });

  it('tells who waits that it was closed, also before anything was taken', async () => {
    const { open } = await newChain();
    const closed = open();
    closed.close(new Error('nobody looks'));
    closed.close(new Error('again'));
    const watch = open();
    const end = watch.end;
    watch.close(new Error('let go'));
    await expect(end).rejects.toThrow('let go');
  });
});

/** Time for this thread to read whatever it would. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
