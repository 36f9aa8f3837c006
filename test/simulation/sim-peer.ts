import { type PeerId, peerId, type RunLog, sessionId } from '@podmesh/core';
import { Peer, type PeerFacts, type PeerParts, sha256 } from '@podmesh/daemon';
import { loadGraph } from '@podmesh/jetstream';
import type { ContainerHost, FakeMesh, SimMachine, SimProcess } from '@podmesh/testkit';
import pino from 'pino';
import { SimJournal, SimTaskFiles } from './sim-task-files.ts';
import type { SimWeb } from './sim-web.ts';

const CORES = 4;
const capacity = { cpus: CORES, memoryBytes: 2 ** 33, diskBytes: 2 ** 40, gpus: 0 };
const silent = pino({ level: 'silent' });

/** Where a peer lives in the simulation. */
export interface SimPlace {
  readonly process: SimProcess;
  readonly machine: SimMachine;
  /** Whether every result says that its bytes are on disks of peers alone. */
  readonly isBulk?: boolean;
  /** Absent: there is nothing outside of the mesh. */
  readonly web?: SimWeb | undefined;
  readonly onStep?: PeerParts['onStep'];
}

/** Boots the real daemon's `Peer` in a simulated process, over the fakes and in virtual time. */
export async function bootPeer(
  mesh: FakeMesh,
  host: ContainerHost,
  { process, machine, isBulk = false, web, onStep }: SimPlace,
): Promise<void> {
  const real = mesh.portsFor(process);
  const ports = isBulk ? { ...real, log: withBulk(real.log) } : real;
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
  };
  const peer = new Peer(
    {
      ...ports,
      runtime: host.runtimeFor(process),
      external: web?.partsFor(process, ports.pins),
      files: new SimTaskFiles(ports.artifacts),
      journal: new SimJournal(machine, process),
      peer: name,
      session: sessionId(process.newId()),
      clock: process.clock,
      sha256,
      randomId: () => process.newId(),
      logger: silent,
      loadGraph: (published) => loadGraph(ports.artifacts, published),
      describe: () => facts,
      onStep,
    },
    capacity,
  );
  await peer.start();
}

/** No attempt says that yet: so the facts that follow are tried before the bytes are there. */
function withBulk(log: RunLog): RunLog {
  return {
    append: (event, expected) =>
      log.append(
        event.kind === 'attempt-succeeded' || event.kind === 'task-cached'
          ? { ...event, result: { ...event.result, bulk: true } }
          : event,
        expected,
      ),
    lastOfTask: (run, task) => log.lastOfTask(run, task),
    read: (run, signal) => log.read(run, signal),
    follow: (run, after, signal) => log.follow(run, after, signal),
    runs: () => log.runs(),
    cancellations: (signal) => log.cancellations(signal),
    isOver: (run) => log.isOver(run),
  };
}
