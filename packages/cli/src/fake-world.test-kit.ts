import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ListedMember } from '@podmesh/core';
import { MeshArtifacts } from '@podmesh/jetstream';
import type { Client } from '@podmesh/sdk';
import { DirectProcess, FakeMesh, type MeshPorts, RealTime } from '@podmesh/testkit';
import { onTestFinished } from 'vitest';
import { CliError } from './cli-error.ts';
import type { DaemonProgram } from './home/daemon-program.ts';
import { Home } from './home/home.ts';
import type { ImageProgram } from './home/image-program.ts';
import { runCommandLine } from './run-command-line.ts';
import type { Terminal } from './terminal.ts';
import type { World } from './world.ts';

/** A terminal that remembers, and tells when something was said. */
export class FakeTerminal implements Terminal {
  isLive = false;
  columns = 100;
  stdout = '';
  stderr = '';
  readonly #awaited = new Set<() => void>();

  async out(text: string | Uint8Array): Promise<void> {
    this.stdout += typeof text === 'string' ? text : Buffer.from(text).toString('utf8');
    for (const look of this.#awaited) look();
  }

  err(text: string): void {
    this.stderr += text;
    for (const look of this.#awaited) look();
  }

  /** Resolves once standard output or error contains the words. */
  async until(words: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.stdout.includes(words) && !this.stderr.includes(words)) return;
        this.#awaited.delete(look);
        resolve();
      };
      this.#awaited.add(look);
      look();
    });
  }
}

/** A daemon program that cannot be started, unless a test replaces it. */
const NO_DAEMON: DaemonProgram = {
  runInForeground: async () => 0,
  startInBackground: async () => {
    throw new CliError('daemon', 'the daemon did not start');
  },
  examine: async () => [{ check: 'podman', ok: true, required: true, found: '5.0' }],
  discover: async () => [],
};

/** A machine without any image, unless a test replaces it. */
const NO_IMAGES: ImageProgram = {
  build: async () => {
    throw new CliError('daemon', 'no image was built');
  },
  list: async () => ({}),
  resolve: async (references) =>
    references.map((reference) => ({ kind: 'unresolved', reference, message: 'it is nowhere.' })),
};

/** A world in memory with one mesh in it, at any address but those on port 1. */
export class FakeWorld {
  readonly terminal = new FakeTerminal();
  readonly mesh = new FakeMesh(new RealTime({ background: true }));
  /** The mesh as another process sees it: what peers do is done through these. */
  readonly others: MeshPorts = this.#ports('others');
  /** Who is in the mesh; a mesh without roles has nobody by name. */
  members: readonly ListedMember[] = [];
  /** Servers that answer, by `host:port`. */
  readonly servers = new Map([['fake:4222', { version: '2.15.1' }]]);
  /** A mesh whose servers people run themselves, unless a test replaces it. */
  anchors: Client['anchors'] = {
    read: async () => undefined,
  };
  readonly directory = temporaryDirectory();
  readonly home = new Home(join(this.directory, 'home'));
  #interrupts = new Set<() => void>();
  #connections = new Set<(connected: boolean) => void>();

  /** Runs a command line; the exit code. */
  run(argv: readonly string[], changes: Partial<World> = {}): Promise<number> {
    return runCommandLine(argv, { ...this.world(), ...changes });
  }

  world(): World {
    return {
      env: { PODMESH_NATS: 'nats://fake:4222' },
      cwd: this.directory,
      isRoot: false,
      user: 'me@here',
      version: '1.2.3',
      terminal: this.terminal,
      stdin: (async function* () {})(),
      home: this.home,
      daemon: NO_DAEMON,
      images: NO_IMAGES,
      program: async () => ({ code: 127, out: '', err: 'no such program' }),
      connect: async (url) => this.client(url),
      greet: async (address) => this.servers.get(address),
      onInterrupt: (listener) => {
        this.#interrupts.add(listener);
        return () => this.#interrupts.delete(listener);
      },
      now: () => new Date('2026-01-01T00:10:00Z'),
    };
  }

  client(url = 'nats://fake:4222'): Client {
    const ports = this.#ports('cli');
    const { log: runLog, drives, peers, artifacts: objects, shelf, finder } = ports;
    const { imageTags, liveLog, boxes, relay, orders, sleepers } = ports;
    const artifacts = new MeshArtifacts({ objects, finder, transport: relay });
    return {
      runLog,
      drives,
      peers,
      orders,
      sleepers,
      members: { list: async () => this.members, revision: async () => '' },
      artifacts,
      objects,
      shelf,
      finder,
      imageTags,
      liveLog,
      boxes,
      anchors: this.anchors,
      url,
      onConnection: (listener) => {
        this.#connections.add(listener);
        return () => this.#connections.delete(listener);
      },
      close: async () => undefined,
    };
  }

  /** Ctrl-C. */
  interrupt(): void {
    for (const listener of this.#interrupts) listener();
  }

  /** The connection breaks, or comes back. */
  connection(connected: boolean): void {
    for (const listener of this.#connections) listener(connected);
  }

  #ports(name: string): MeshPorts {
    return this.mesh.portsFor(new DirectProcess(name, new RealTime({ background: true })));
  }
}

/** A directory that is gone after the test. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'podmesh-cli-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}
