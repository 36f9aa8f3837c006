import { type Clock, type KeepOrder, type PeerId, peerId, sessionId } from '@podmesh/core';
import {
  type DrainOrder,
  HandOver,
  KeepOrders,
  Peer,
  type PeerFacts,
  type PeerParts,
  RollCall,
  sha256,
} from '@podmesh/daemon';
import { loadGraph, MeshArtifacts } from '@podmesh/jetstream';
import type { ContainerHost, FakeMesh, MeshPorts, SimMachine, SimProcess } from '@podmesh/testkit';
import pino from 'pino';
import { SimDisk } from './sim-disk.ts';
import { SimJournal, SimTaskFiles } from './sim-task-files.ts';
import type { SimWeb } from './sim-web.ts';
import type { SleepStorm } from './sleep-storm.ts';

const CORES = 4;
const capacity = { cpus: CORES, memoryBytes: 2 ** 33, diskBytes: 2 ** 40, gpus: 0 };
const silent = pino({ level: 'silent' });

/** Where a peer lives in the simulation. */
export interface SimPlace {
  readonly process: SimProcess;
  readonly machine: SimMachine;
  /** Absent: there is nothing outside of the mesh. */
  readonly web?: SimWeb | undefined;
  /** Where others' disks are; absent: no output is large enough to be on them. */
  readonly machineOf?: (peer: PeerId) => SimMachine | undefined;
  /** Told of each confirmation that all of a success's outputs are here. */
  readonly onKept?: (peer: PeerId, order: KeepOrder) => void;
  readonly onStep?: PeerParts['onStep'];
  /** Machines here fall asleep, and wake each other; absent: none does. */
  readonly sleeps?: SleepStorm | undefined;
  /** Told of the peer of each new process. */
  readonly onPeer?: (peer: Peer, machine: SimMachine) => void;
}

/** Boots the real daemon's `Peer` in a simulated process, over the fakes and in virtual time. */
export async function bootPeer(
  mesh: FakeMesh,
  host: ContainerHost,
  { process, machine, machineOf, onKept, web, onStep, onPeer, sleeps }: SimPlace,
): Promise<void> {
  const ports = mesh.portsFor(process);
  const { artifacts: objects, finder } = ports;
  const disk = machineOf && new SimDisk({ process, machine, objects, finder, machineOf });
  const name: PeerId = peerId(machine.name);
  const facts: PeerFacts = {
    version: '0',
    machine: {
      hostname: machine.name,
      kernel: '0',
      arch: 'amd64',
      os: 'linux',
      cpuModel: 'simulated',
      cores: CORES,
      memoryBytes: capacity.memoryBytes,
      podmanVersion: '0',
    },
    hardware: { cpuFlags: [], gpus: [], battery: false },
    labels: [],
    capacity,
    images: {},
    limits: { memory: 'kernel', cpus: 'kernel', pids: 'kernel', disk: 'watched' },
    runtimes: ['podman'],
    keeps: { freeBytes: 2 ** 40, host: machine.name },
    ...(sleeps === undefined ? {} : { networks: sleeps.networks }),
  };
  if (disk !== undefined) exchange(ports, name, disk, process.clock, onKept);
  const peer = new Peer(
    {
      ...ports,
      objects: ports.artifacts,
      runtime: host.runtimeFor(process),
      external: web?.partsFor(process, ports.pins),
      files: new SimTaskFiles(objects, disk),
      ...(disk === undefined
        ? {}
        : {
            artifacts: disk.reachable(
              new MeshArtifacts({ objects, finder, transport: ports.relay }),
            ),
            rollCall: (signal) => new RollCall({ objects, finder, clock: process.clock }, signal),
          }),
      journal: new SimJournal(machine, process),
      peer: name,
      session: sessionId(process.newId()),
      clock: process.clock,
      sha256,
      randomId: () => process.newId(),
      logger: silent,
      loadGraph: (published) => loadGraph(ports.artifacts, published),
      describe: () => facts,
      ...(disk === undefined ? {} : { handOver: handOverOf(ports, name, disk) }),
      ...drainedBefore(machine),
      onStep,
    },
    capacity,
  );
  onPeer?.(peer, machine);
  sleeps?.join(peer, machine, process, ports);
  await peer.start();
}

/** What the real daemon reads in its home. */
function drainedBefore({ disk }: SimMachine): Pick<PeerParts, 'drained'> {
  const drained = disk.get('drained') as DrainOrder | undefined;
  return drained === undefined ? {} : { drained };
}

function handOverOf(ports: MeshPorts, peer: PeerId, disk: SimDisk): HandOver {
  const { log, peers, keepers, artifacts: objects } = ports;
  return new HandOver({ peer, pins: disk, log, peers, keepers, objects, sha256, logger: silent });
}

/** Answers who has what and keeps outputs for others, for as long as the process lives. */
function exchange(
  ports: MeshPorts,
  peer: PeerId,
  disk: SimDisk,
  clock: Clock,
  onKept: SimPlace['onKept'],
): void {
  const { signal } = new AbortController();
  const copies = {
    has: (order: KeepOrder) => {
      const isHere = disk.has(order);
      if (isHere) onKept?.(peer, order);
      return isHere;
    },
    bring: (order: KeepOrder) => disk.bring(order),
  };
  const release = async () => undefined;
  const orders = new KeepOrders({ copies, release, clock, logger: silent });
  void ports.finder.answer(peer, (artifacts) => disk.answer(artifacts), signal);
  void ports.keepers.serve(peer, orders, signal);
}
