import { sessionId } from '@podmesh/core';
import {
  connectMesh,
  loadGraph,
  type Mesh,
  type MeshConnection,
  openMesh,
  PeerDiscovery,
  refuseUnlikePeers,
} from '@podmesh/jetstream';
import { PodmanService } from '@podmesh/podman';
import { systemClock } from '@podmesh/transfer';
import { customAlphabet, nanoid } from 'nanoid';
import { openAnchors } from './anchors/open-anchors.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { type LoggedRuns, outlookOfLog } from './drive/outlook-of-log.ts';
import { DiskJournal } from './execute/disk-journal.ts';
import { HandOver } from './keep/hand-over.ts';
import { openKeeping } from './keep/open-keeping.ts';
import { LocalApi, type Route } from './local-api.ts';
import { readBoot } from './machine/boot.ts';
import { offeredCapacity } from './machine/capacity.ts';
import { readHardware } from './machine/hardware.ts';
import { MachineStanding } from './machine/machine-standing.ts';
import { PeerFactsSource } from './machine/peer-facts.ts';
import { readFreeDisk, readMemory } from './machine/pressure.ts';
import { membershipRoutes } from './membership/membership-routes.ts';
import { openMemberOffice } from './membership/open-member-office.ts';
import { type Membership, openMembership } from './membership/open-membership.ts';
import { ReleaseDesk } from './membership/release-desk.ts';
import { TaskKeys } from './membership/task-keys.ts';
import { discoveredFacts } from './observe/discovered-facts.ts';
import { observe } from './observe/observation.ts';
import { openContainerRuntime } from './open-container-runtime.ts';
import { DrainDesk } from './owner/drain-desk.ts';
import { idleFor } from './owner/idle-for.ts';
import { openCloudWatch } from './owner/open-cloud-watch.ts';
import { openOwner } from './owner/open-owner.ts';
import { openSleep, toldNetworks } from './owner/open-sleep.ts';
import { Peer } from './peer.ts';
import type { ImageRegistry } from './registry/image-registry.ts';
import { openImages } from './registry/open-images.ts';
import { openSecrets } from './secrets/open-secrets.ts';
import { SecretFiles } from './secrets/secret-files.ts';
import { StartedParts } from './started-parts.ts';
import { sha256 } from './store/local-task-files.ts';
import { openFiles } from './store/open-files.ts';
import { RollCall } from './store/roll-call.ts';
import { openSweep } from './sweep/open-sweep.ts';
import { openTaskApi } from './task-api/open-task-api.ts';
import { hostOf, pretendMeasures } from './test-hooks.ts';
import { untilAway } from './until-away.ts';
import { isWorkLeft, untilIdle, type WorkInSight } from './until-idle.ts';

/** Peers that vanish for the length of an election must not be given up (NATS.md §3.8). */
const CONNECT_MS = 30_000;
/** A daemon that was told to stop waits so long for others to get what only it has. */
const STOP_HAND_OVER_MS = 30_000;

/** Claims become names of files, cgroups and containers: letters and digits alone offend nobody. */
const newClaimText = customAlphabet(
  '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ',
  21,
);

/** Everything a peer stands on, started in order and stopped in reverse. */
export class Daemon {
  readonly #parts: DaemonParts;
  readonly #started = new StartedParts();
  #mesh: Mesh | undefined;
  #peer: Peer | undefined;
  readonly #secretFiles: SecretFiles;
  #localApi: LocalApi | undefined;
  #registry: ImageRegistry | undefined;
  #url = '';
  #reconnects = 0;
  /** Whether others need this machine for the mesh itself. */
  #isServer = false;
  #isAway = (): boolean => true;
  readonly #routes = new Map<string, Readonly<Record<string, Route>>>();

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    this.#secretFiles = new SecretFiles(process.env, parts.home.path);
  }

  /** How programs of this user find the mesh. */
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
    const { configuration, home, logger, peer, version } = this.#parts;
    const { nats, listen } = configuration;
    const parts = { home, peer, nats, listen, env: process.env, logger };
    const membership = await openMembership(parts, this.#started);
    this.#url = membership.url;
    this.#isServer = membership.isAnchor;
    const connection = await connectMesh({
      url: membership.address,
      name: peer,
      timeoutMs: CONNECT_MS,
    });
    this.#started.add('connection', () => connection.close());
    this.#isAway = () => !connection.isConnected;
    connection.onStatus((status) => {
      if (status.kind === 'disconnected') logger.warn('lost the mesh; trying to reconnect');
      if (status.kind === 'connected') {
        this.#reconnects += 1;
        logger.info('reconnected to the mesh');
      }
      if (status.kind === 'trouble') logger.warn(status.message);
    });
    await refuseUnlikePeers(connection, peer, version);
    await connection.ensureStreams({ replicas: membership.replicas, version });
    const anchorRoutes = await openAnchors(this.#parts, this.#started, { connection, membership });
    for (const [path, route] of anchorRoutes) this.#routes.set(path, route);
    this.#peer = await this.#buildPeer(connection, membership);
    await this.#peer.start();
  }

  /** Ends everything that was started; works at any time, and twice. */
  async stop(): Promise<void> {
    await this.#started.stop(this.#parts.logger);
  }

  /** Of a temporary peer: resolves when there is nothing left to do in the mesh. */
  async untilIdle(signal: AbortSignal): Promise<void> {
    const work = this.#workInSight();
    if (work !== undefined) await untilIdle(work, systemClock, signal);
  }

  /** Resolves when this peer had nothing to do for so long. Whoever carries the mesh waits for all of it. */
  async untilIdleFor(ms: number, signal: AbortSignal): Promise<void> {
    const isIdle = async (): Promise<boolean> =>
      this.#peer?.isIdle === true && !(this.#isServer && (await this.hasWork().catch(() => true)));
    await idleFor(ms, { isIdle, clock: systemClock, signal });
  }

  /** Whether something is left to do that waits for no person. */
  async hasWork(): Promise<boolean> {
    const work = this.#workInSight();
    return work !== undefined && (await isWorkLeft(work));
  }

  /** What runs gets no more time; to be stopped then. */
  endAtOnce(): void {
    this.#peer?.endAtOnce();
  }

  /** Whether anything is in hand that ends better if it is waited for. */
  get isBusy(): boolean {
    return this.#peer?.isBusy ?? false;
  }

  /**
   * Takes nothing more; resolves when what runs has ended, or was given back after its grace, and is safe elsewhere; or
   * when the mesh has been away for so long that its claims are lost anyway.
   */
  async drainToStop(graceMs: number): Promise<void> {
    const order = { by: 'its daemon was told to stop', deadlineMs: graceMs };
    const handOverMs = STOP_HAND_OVER_MS;
    const over = new AbortController();
    const drained = this.#peer
      ?.drain({ ...order, why: 'was stopped by its owner', handOverMs })
      .finally(() => over.abort('drained'));
    await Promise.race([drained, untilAway(this.#isAway, systemClock, over.signal)]);
    if (over.signal.aborted) return;
    this.#parts.logger.warn('the mesh is away: what is at work here is left to others');
    this.endAtOnce();
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

  async #buildPeer(connection: MeshConnection, membership: Membership): Promise<Peer> {
    const { configuration, home, logger, version, onStep } = this.#parts;
    const onUnreadableSleeper = (peer: string): void =>
      logger.warn(
        { sleeper: peer },
        'the note of a sleeping peer cannot be read, so nobody wakes it: is its podmesh another version?',
      );
    const mesh = openMesh(connection, { onUnreadableSleeper });
    this.#mesh = mesh;
    this.#started.add('mesh', () => mesh.stop());
    const podmanService = new PodmanService({ directory: home.path, env: process.env });
    this.#started.add('podman service', () => podmanService.stop());
    await podmanService.start();
    const podman = await openContainerRuntime(this.#parts, this.#started, podmanService.socketPath);
    const boot = await readBoot();
    const journal = new DiskJournal(home.at('attempts'), boot);
    const secretFiles = this.#secretFiles;
    const isDirectoryWhole = () => this.#peer?.isDirectoryWhole ?? true;
    const place = { connection, mesh, journal, secretFiles, membership, isDirectoryWhole };
    const { store, files, exchange, copies, wrongBytes } = await openFiles(
      this.#parts,
      this.#started,
      place,
    );
    const ownPeer = this.#parts.peer;
    const keeping = await openKeeping(
      { peer: ownPeer, mesh, files, store, clock: systemClock, logger },
      {
        host: hostOf(boot.id, process.env),
        labels: configuration.labels,
        isAnchor: membership.isAnchor,
      },
    );
    this.#started.add('keeping of outputs', () => keeping.stop());
    const taskKeys = await TaskKeys.of(membership.folder);
    const office = await openMemberOffice(
      {
        connection,
        mesh,
        self: ownPeer,
        membership,
        discovery: configuration.discovery,
        logger,
        onRevoked: (fingerprints) => exchange.revoke(fingerprints),
        taskKeys,
        onCertificate: (own) => exchange.renew(own),
        now: Date.now,
      },
      this.#started,
    );
    const routes = new Map([...membershipRoutes(() => office), ...this.#routes]);
    const { artifacts: objects, finder } = mesh;
    const own = { peer: ownPeer, pins: store.runPins, log: mesh.runLog, sha256, logger };
    const handOver = new HandOver({ ...mesh, objects, ...own });
    const drains = new DrainDesk({ file: home.at('drained.json'), logger });
    const drained = await drains.load();
    const stored = { store, wrongBytes };
    const api = { home: home.path, env: process.env, peer: ownPeer, version, drains, logger };
    const localApi = new LocalApi({ ...api, ...stored, routes });
    this.#localApi = localApi;
    this.#started.add('local API', () => localApi.stop());
    await localApi.start();
    const { external, sealingKey } = await openSecrets(
      this.#parts,
      this.#started,
      mesh,
      secretFiles,
    );
    const desk = await openTaskApi(this.#parts, this.#started, {
      mesh,
      journal,
      files,
      randomId: newClaimText,
      taskKeys,
    });
    const facts = await readHardware();
    const { registry, runtime, archives } = await openImages(this.#parts, this.#started, mesh, {
      store,
      exchange,
      podman,
      arch: facts.machine.arch,
    });
    this.#registry = registry;
    const releases = new ReleaseDesk({
      mesh,
      log: mesh.runLog,
      loadGraph: (published) => loadGraph(mesh.artifacts, published),
      logger,
    });
    this.#started.add('releases', () => releases.stop());
    releases.start();
    const { owner, bus } = await openOwner(this.#parts, this.#started, facts.hardware.battery);
    localApi.tellPolicy(owner);
    const capacity = await offeredCapacity(facts, home.path, configuration);
    let onChange = (): void => undefined;
    const standing = new MachineStanding(home.path, process.env, systemClock);
    await standing.start();
    this.#started.add('standing of the machine', () => standing.stop());
    const source = new PeerFactsSource({
      facts,
      runtime,
      clock: systemClock,
      capacity,
      labels: configuration.labels,
      version,
      bulk: () => exchange.bulk,
      keeps: () => keeping.offering,
      standing: () => standing.current(),
      onChange: () => onChange(),
    });
    await source.start();
    this.#started.add('machine facts', () => source.stop());
    const observed = await observe(
      this.#parts,
      this.#started,
      {
        ...mesh,
        artifacts: mesh.everywhere,
        objects,
        rollCall: (signal) => new RollCall({ objects, finder, clock: systemClock }, signal),
        log: mesh.runLog,
        runtime,
        archives,
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
        handOver,
        owner,
        ...(drained === undefined ? {} : { drained }),
        describe: () => ({ ...source.current(), sealingKey }),
        networks: toldNetworks,
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
      {
        version,
        load: () => peer.load(),
        queues: () => mesh.queueDepths(),
        leases: () => mesh.leaseCounts(),
        moved: () => exchange.moved,
        storeBytes: () => store.index.storeBytes(),
        freeDiskBytes: () => readFreeDisk(home.path),
        connection: () => ({
          isConnected: connection.isConnected,
          reconnects: this.#reconnects,
        }),
      },
    );
    // Nobody else may remove anything.
    const mayRemove = (): boolean => connection.isKeeper;
    if (mayRemove())
      openSweep(this.#parts, this.#started, mesh, { held: () => desk.held(), mayRemove });
    const peer: Peer = new Peer(observed, capacity);
    onChange = () => peer.notice();
    this.#started.add('peer', () => peer.stop());
    // Stopped before it: its attempts wait for them.
    this.#started.add('second copies', async () => copies.stop());
    const status = () => ({ ...peer.load(), paused: source.current().paused });
    const discovery = new PeerDiscovery(connection, ownPeer, {
      version,
      metadata: discoveredFacts(source.current()),
      status,
    });
    this.#started.add('discovery', () => discovery.stop());
    await discovery.start();
    wrongBytes.open(peer);
    const { uptimeMs } = boot;
    openSleep(this.#parts, this.#started, { mesh, machine: peer, owner, bus, drains, uptimeMs });
    openCloudWatch(this.#parts, this.#started, peer);
    return peer;
  }
}
