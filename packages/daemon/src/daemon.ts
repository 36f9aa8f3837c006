import { type ClaimId, type ContainerRuntime, sessionId } from '@podmesh/core';
import {
  connectMesh,
  EmbeddedNatsServer,
  loadGraph,
  type Mesh,
  type MeshConnection,
  openMesh,
  publicKeyText,
} from '@podmesh/jetstream';
import { openRuntime, PodmanService } from '@podmesh/podman';
import { OutsideStores } from '@podmesh/stores';
import { customAlphabet, nanoid } from 'nanoid';
import type { Logger } from 'pino';
import type { Configuration } from './configuration.ts';
import { type LoggedRuns, outlookOfLog } from './drive/outlook-of-log.ts';
import type { AttemptJournal } from './execute/attempt-journal.ts';
import { DiskJournal } from './execute/disk-journal.ts';
import { newFetches } from './external/attempt-externals.ts';
import type { Home } from './home.ts';
import { openKeeping } from './keep/open-keeping.ts';
import { LocalApi } from './local-api.ts';
import { readBoot } from './machine/boot.ts';
import { offeredCapacity } from './machine/capacity.ts';
import { readHardware } from './machine/hardware.ts';
import { PeerFactsSource } from './machine/peer-facts.ts';
import { readFreeDisk, readMemory } from './machine/pressure.ts';
import { Peer, type PeerParts } from './peer.ts';
import { ArtifactBlobs } from './registry/artifact-blobs.ts';
import { ImageRegistry } from './registry/image-registry.ts';
import { MeshImageRuntime } from './registry/mesh-image-runtime.ts';
import { MeshImages } from './registry/mesh-images.ts';
import { PeerSecrets } from './secrets/peer-secrets.ts';
import { loadSealingKey } from './secrets/sealing-key.ts';
import { SecretFiles } from './secrets/secret-files.ts';
import { DiskStore } from './store/disk-store.ts';
import { LocalTaskFiles, sha256 } from './store/local-task-files.ts';
import { RollCall } from './store/roll-call.ts';
import { systemClock } from './system-clock.ts';
import { TaskApi } from './task-api/task-api.ts';
import { hostOf, pretendMeasures } from './test-hooks.ts';
import { BulkExchange } from './transfer/bulk-exchange.ts';
import { addressTowards } from './transfer/mesh-facing-address.ts';
import { isWorkLeft, untilIdle, type WorkInSight } from './until-idle.ts';

/** Peers that vanish for the length of an election must not be given up (NATS.md §3.8). */
const CONNECT_MS = 30_000;

/** Claims become names of files, cgroups and containers: letters and digits alone offend nobody. */
const newClaimText = customAlphabet(
  '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ',
  21,
);

export interface DaemonParts {
  readonly configuration: Configuration;
  readonly home: Home;
  readonly logger: Logger;
  readonly peer: PeerParts['peer'];
  readonly version: string;
  readonly onStep?: PeerParts['onStep'];
}

/** Everything a peer stands on, started in order and stopped in reverse. */
export class Daemon {
  readonly #parts: DaemonParts;
  /** What has been started, as the ways to stop it; the last one first. */
  readonly #stops: { readonly part: string; readonly stop: () => Promise<void> }[] = [];
  #mesh: Mesh | undefined;
  #peer: Peer | undefined;
  readonly #secretFiles: SecretFiles;
  #localApi: LocalApi | undefined;
  #registry: ImageRegistry | undefined;
  #url = '';

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    this.#secretFiles = new SecretFiles(process.env, parts.home.path);
  }

  /** Where the mesh is, with its token. */
  get natsUrl(): string {
    return this.#url;
  }

  /** Where programs of this user are answered; undefined where that cannot be. */
  get socket(): string | undefined {
    return this.#localApi?.socket;
  }

  /** Where images are pushed to and pulled from on this machine; undefined where they are not. */
  get registry(): string | undefined {
    const port = this.#registry?.port ?? 0;
    return port === 0 ? undefined : `localhost:${port}`;
  }

  /** Resolves when this peer claims; what was started before an error is stopped by `stop`. */
  async start(): Promise<void> {
    const { configuration, logger } = this.#parts;
    this.#url = configuration.nats ?? (await this.#startServer());
    const connection = await connectMesh({
      url: this.#url,
      name: this.#parts.peer,
      timeoutMs: CONNECT_MS,
    });
    this.#stops.push({ part: 'connection', stop: () => connection.close() });
    connection.onStatus((status) => {
      if (status.kind === 'disconnected') logger.warn('lost the mesh; trying to reconnect');
      if (status.kind === 'connected') logger.info('reconnected to the mesh');
      if (status.kind === 'trouble') logger.warn(status.message);
    });
    // Whoever names three servers or more has a cluster, and its facts belong on three of them.
    const replicas = connection.address.servers.length >= 3 ? 3 : 1;
    await connection.ensureStreams({ replicas });
    this.#peer = await this.#buildPeer(connection);
    await this.#peer.start();
  }

  /** Ends everything that was started; works at any time, and twice. */
  async stop(): Promise<void> {
    const { logger } = this.#parts;
    for (let last = this.#stops.pop(); last !== undefined; last = this.#stops.pop()) {
      const { part, stop } = last;
      const from = systemClock.nowMs();
      await stop().catch((error: unknown) => {
        logger.warn({ part, err: error }, 'a part did not stop cleanly');
      });
      logger.debug({ part, ms: Math.round(systemClock.nowMs() - from) }, 'stopped');
    }
  }

  /** Of a temporary peer: resolves when there is nothing left to do in the mesh. */
  async untilIdle(signal: AbortSignal): Promise<void> {
    const work = this.#workInSight();
    if (work !== undefined) await untilIdle(work, systemClock, signal);
  }

  /** Whether something is left to do that waits for no person. */
  async hasWork(): Promise<boolean> {
    const work = this.#workInSight();
    return work !== undefined && (await isWorkLeft(work));
  }

  #workInSight(): WorkInSight | undefined {
    const [mesh, peer] = [this.#mesh, this.#peer];
    if (mesh === undefined || peer === undefined) return undefined;
    const { runLog: log, artifacts } = mesh;
    const logged: LoggedRuns = { log, loadGraph: (published) => loadGraph(artifacts, published) };
    return {
      log,
      outlookOf: (run) => peer.outlookOf(run),
      outlookInLog: (run, signal) => outlookOfLog(logged, run, signal),
    };
  }

  async #openRuntime(socketPath: string): Promise<ContainerRuntime> {
    const { configuration, home, logger, peer } = this.#parts;
    const { runtime, crunProblem, endedProblem, sweepProblem, close } = await openRuntime({
      socketPath,
      env: process.env,
      directory: home.at('crun'),
      peer,
      choice: configuration.runtime,
    });
    this.#stops.push({ part: 'container runtime', stop: close });
    if (crunProblem !== undefined) {
      logger.warn(`without the fast lane, containers take longer to start: ${crunProblem}`);
    }
    if (endedProblem !== undefined) {
      logger.warn(`ended containers of the fast lane, which cannot be opened: ${endedProblem}`);
    }
    if (sweepProblem !== undefined) {
      logger.info(`not all that is left of the fast lane could be swept: ${sweepProblem}`);
    }
    return runtime;
  }

  async #startServer(): Promise<string> {
    const { home, logger } = this.#parts;
    const server = new EmbeddedNatsServer({
      directory: home.at('nats'),
      env: process.env,
      onEvent: (event) => logger.info(event, `embedded nats-server: ${event.kind}`),
    });
    this.#stops.push({ part: 'nats-server', stop: () => server.stop() });
    await server.start();
    return server.url;
  }

  /** Where others are served directly; undefined: nowhere. */
  async #listenAt({ address }: MeshConnection) {
    const { serve } = this.#parts.configuration;
    if (serve === 'none') return undefined;
    if (serve !== undefined) return serve;
    const [server = ''] = address.servers;
    try {
      return { host: await addressTowards(server), port: 0 };
    } catch (error) {
      this.#parts.logger.warn({ err: error }, 'no address of this machine to serve artifacts on');
      return undefined;
    }
  }

  /** The artifacts of this disk: for its tasks, and from and for other peers. */
  async #openFiles(connection: MeshConnection, mesh: Mesh, journal: AttemptJournal) {
    const { home, logger, peer } = this.#parts;
    const root = home.at('store');
    const store = new DiskStore(root);
    this.#stops.push({ part: 'artifact store', stop: () => store.stop() });
    const listen = await this.#listenAt(connection);
    const exchange = new BulkExchange({ peer, mesh, store, clock: systemClock, logger, listen });
    const { transfers: fromPeers } = exchange;
    const secretFiles = this.#secretFiles;
    const onRelease = (claim: ClaimId) => secretFiles.remove(claim);
    const files = new LocalTaskFiles(root, mesh.artifacts, { store, fromPeers, onRelease });
    await files.prepare();
    // What an earlier session's containers read must outlive the first eviction of this one.
    const entries = await journal.list();
    await secretFiles.sweep(new Set(entries.map(({ claim }) => claim)));
    for (const { claim, offer } of entries) {
      await files.pinInputs(claim, Object.values(offer.inputs));
    }
    store.start();
    this.#stops.push({ part: 'exchange of artifacts', stop: () => exchange.stop() });
    await exchange.start();
    return { store, files, exchange };
  }

  /** What tasks reach outside of the mesh, and the key by which secrets are sealed for this peer. */
  async #openSecrets(mesh: Mesh) {
    const { home, peer, logger } = this.#parts;
    const key = await loadSealingKey(home.at('sealing.key'));
    const { boxes, runLog: log, peers, pins } = mesh;
    const directory = home.at('secrets');
    const secrets = new PeerSecrets({ boxes, log, peers, peer, key, env: process.env, directory });
    const stop = new AbortController();
    const answering = boxes
      .answer((question) => secrets.give(question), stop.signal)
      .catch((err: unknown) => logger.warn({ err }, 'gives no secrets to peers that come later'));
    this.#stops.push({
      part: 'answers about secrets',
      stop: async () => {
        stop.abort();
        await answering;
      },
    });
    const secretFiles = this.#secretFiles;
    const fetches = newFetches();
    const external = { store: new OutsideStores(), pins, secrets, secretFiles, sha256, fetches };
    return { external, sealingKey: publicKeyText(key) };
  }

  /** Images without a registry: this peer's part of it. Before it, Podman has to be told where it is. */
  async #openImages(
    mesh: Mesh,
    { store, exchange }: { readonly store: DiskStore; readonly exchange: BulkExchange },
  ) {
    const { configuration, logger, peer } = this.#parts;
    const { artifacts, finder } = mesh;
    const fromPeers = exchange.transfers;
    const blobs = new ArtifactBlobs({ store, artifacts, finder, fromPeers });
    const registry = new ImageRegistry({
      peer,
      mesh,
      store,
      blobs,
      clock: systemClock,
      logger,
      env: process.env,
      port: configuration.registryPort,
    });
    this.#registry = registry;
    this.#stops.push({ part: 'image registry', stop: () => registry.stop() });
    await registry.start();
    return { registry, images: new MeshImages({ tags: mesh.imageTags, blobs }) };
  }

  /** Containers of an earlier session find their socket again where it was. */
  async #openDesk(mesh: Mesh, journal: AttemptJournal, files: LocalTaskFiles): Promise<TaskApi> {
    const { home, logger, peer } = this.#parts;
    const randomId = newClaimText;
    const desk = new TaskApi({
      ...mesh,
      artifacts: mesh.everywhere,
      ...{ log: mesh.runLog, files, peer, logger, randomId, sha256, clock: systemClock },
      loadGraph: (published) => loadGraph(mesh.artifacts, published),
      home: home.path,
      env: process.env,
    });
    this.#stops.push({ part: 'task API', stop: () => desk.stop() });
    await desk.start(new Set((await journal.list()).map(({ claim }) => claim)));
    return desk;
  }

  async #buildPeer(connection: MeshConnection): Promise<Peer> {
    const { configuration, home, logger, version, onStep } = this.#parts;
    const mesh = openMesh(connection);
    this.#mesh = mesh;
    this.#stops.push({ part: 'mesh', stop: () => mesh.stop() });
    const service = new PodmanService({ directory: home.path, env: process.env });
    this.#stops.push({ part: 'podman service', stop: () => service.stop() });
    await service.start();
    const podman = await this.#openRuntime(service.socketPath);
    const boot = await readBoot();
    const journal = new DiskJournal(home.at('attempts'), boot);
    const { store, files, exchange } = await this.#openFiles(connection, mesh, journal);
    const ownPeer = this.#parts.peer;
    const keeping = await openKeeping(
      { peer: ownPeer, mesh, files, store, clock: systemClock, logger },
      {
        host: hostOf(boot.id, process.env),
        labels: configuration.labels,
        isAnchor: configuration.nats === undefined,
      },
    );
    this.#stops.push({ part: 'keeping of outputs', stop: () => keeping.stop() });
    const apiParts = { home: home.path, env: process.env, store, peer: ownPeer, version, logger };
    const localApi = new LocalApi(apiParts);
    this.#localApi = localApi;
    this.#stops.push({ part: 'local API', stop: () => localApi.stop() });
    await localApi.start();
    const { external, sealingKey } = await this.#openSecrets(mesh);
    const desk = await this.#openDesk(mesh, journal, files);
    const facts = await readHardware();
    const { registry, images } = await this.#openImages(mesh, { store, exchange });
    const port = () => registry.port;
    const runtime = new MeshImageRuntime({
      runtime: podman,
      images,
      arch: facts.machine.arch,
      port,
    });
    const capacity = await offeredCapacity(facts, home.path, configuration);
    let onChange = (): void => undefined;
    const source = new PeerFactsSource({
      facts,
      runtime,
      clock: systemClock,
      capacity,
      labels: configuration.labels,
      version,
      bulk: () => exchange.bulk,
      keeps: () => keeping.offering,
      onChange: () => onChange(),
    });
    await source.start();
    this.#stops.push({ part: 'machine facts', stop: () => source.stop() });
    const { artifacts: objects, finder } = mesh;
    const peer = new Peer(
      {
        ...mesh,
        artifacts: mesh.everywhere,
        rollCall: (signal) => new RollCall({ objects, finder, clock: systemClock }, signal),
        log: mesh.runLog,
        runtime,
        files,
        journal,
        desk,
        peer: this.#parts.peer,
        session: sessionId(nanoid()),
        clock: systemClock,
        sha256,
        randomId: newClaimText,
        logger,
        loadGraph: (published) => loadGraph(mesh.artifacts, published),
        external,
        describe: () => ({ ...source.current(), sealingKey }),
        host: pretendMeasures(
          {
            memory: readMemory,
            freeDiskBytes: () => readFreeDisk(home.path),
            disk: home.path,
          },
          process.env,
        ),
        onStep,
      },
      capacity,
    );
    onChange = () => peer.notice();
    this.#stops.push({ part: 'peer', stop: () => peer.stop() });
    return peer;
  }
}
