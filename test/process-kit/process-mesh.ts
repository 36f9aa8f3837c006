import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Graph, RunCancelRequested, RuntimeName } from '@podmesh/core';
import { connectMesh, type Mesh, openMesh } from '@podmesh/jetstream';
import { DaemonProcess } from './daemon-process.ts';
import { Ending } from './ending.ts';
import { NatsServerProcess } from './nats-server-process.ts';
import { removeContainers } from './podman-containers.ts';
import { PublishedRun } from './published-run.ts';
import { removeFolder } from './remove-folder.ts';

const CONNECT_MS = 120_000;
/** Of each daemon's words in the message of a failure. */
const SAID_MAX = 3_000;

/** What a test says about a peer it wants. */
export interface PeerWish {
  readonly cores?: number;
  /** `podman` unless given: most tests look at their containers with Podman's own eyes. */
  readonly runtime?: RuntimeName | 'auto';
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly under?: readonly string[];
  /** Folder of its home, where that is not the mesh's own. */
  readonly homeIn?: string;
  /** Where it reaches the server, if that is elsewhere for it than for this process. */
  readonly nats?: string;
}

/** One nats-server, real daemons on real Podman, and the test's own connection, all on this machine. */
export class ProcessMesh {
  readonly folder: string;
  readonly server: NatsServerProcess;
  readonly mesh: Mesh;
  readonly #ending: Ending;
  readonly #peers: DaemonProcess[] = [];
  readonly #runs: PublishedRun[] = [];

  private constructor(
    folder: string,
    parts: { server: NatsServerProcess; mesh: Mesh; ending: Ending },
  ) {
    this.folder = folder;
    this.server = parts.server;
    this.mesh = parts.mesh;
    this.#ending = parts.ending;
  }

  static async start(): Promise<ProcessMesh> {
    const ending = new Ending();
    try {
      const folder = await mkdtemp(join(tmpdir(), 'podmesh-acceptance-'));
      ending.defer(() => removeFolder(folder));
      const server = await NatsServerProcess.create(join(folder, 'nats'));
      ending.defer(() => server.stop());
      await server.start();
      const connection = await connectMesh({
        url: server.url,
        name: 'acceptance',
        timeoutMs: CONNECT_MS,
      });
      ending.defer(() => connection.close());
      await connection.ensureStreams({ replicas: 1 });
      const mesh = openMesh(connection);
      ending.defer(() => mesh.stop());
      return new ProcessMesh(folder, { server, mesh, ending });
    } catch (error) {
      await ending.end();
      throw error;
    }
  }

  /** A started daemon whose name nobody else on this machine has. */
  async addPeer(name: string, wish: PeerWish = {}): Promise<DaemonProcess> {
    const daemon = this.newPeer(name, wish);
    await daemon.start();
    return daemon;
  }

  /** The same, not started yet. Whatever becomes of it is ended with the mesh. */
  newPeer(name: string, wish: PeerWish = {}): DaemonProcess {
    const unique = `${name}-${randomBytes(3).toString('hex')}`;
    const { homeIn = this.folder, runtime = 'podman', words = [], ...rest } = wish;
    const daemon = new DaemonProcess({
      cores: 4,
      nats: this.server.url,
      ...rest,
      words: ['--runtime', runtime, ...words],
      name: unique,
      home: join(homeIn, unique),
    });
    this.#peers.push(daemon);
    this.#ending.defer(() => removeContainers({ peer: unique }));
    this.#ending.defer(() => daemon.endPodmanService());
    this.#ending.defer(() => daemon.stop());
    return daemon;
  }

  /** Whoever was added, also those that were killed since. */
  get peers(): readonly DaemonProcess[] {
    return this.#peers;
  }

  async publish(graph: Graph): Promise<PublishedRun> {
    const run = await PublishedRun.publish(this.mesh, graph, () => this.#told());
    this.#runs.push(run);
    this.#ending.defer(() => run.stop());
    return run;
  }

  /** Asks for the end of every run that has none yet. */
  async cancelRuns(): Promise<void> {
    for (const { run } of this.#runs.filter((one) => one.of('run-ended').length === 0)) {
      const request: RunCancelRequested = {
        kind: 'run-cancel-requested',
        run,
        by: 'acceptance',
        reason: 'the test is over',
      };
      await this.mesh.runLog.append(request, 0);
    }
  }

  /** Ends everything that was started, also what a failed test left half done. */
  async stop(): Promise<void> {
    await this.#ending.end();
  }

  /** The end of what each daemon said. */
  #told(): string {
    return this.#peers.map(({ said }) => said.slice(-SAID_MAX)).join('\n');
  }
}
