import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactStore,
  type ClaimId,
  type Graph,
  type LogRef,
  type OutputEntry,
  parseGraph,
  peerId,
  type RunId,
  sessionId,
} from '@podmesh/core';
import { loadGraph } from '@podmesh/jetstream';
import {
  ContainerHost,
  type ContainerHostOptions,
  type ContainerScript,
  DirectProcess,
  FakeMesh,
  freshRun,
  inPieces,
  SAMPLE_MACHINE,
  sampleArtifact,
  samplePublished,
  VirtualClock,
} from '@podmesh/testkit';
import pino from 'pino';
import type { AttemptJournal, JournalEntry } from './execute/attempt-journal.ts';
import type { TaskFiles } from './execute/task-files.ts';
import type { PeerFacts, PeerParts } from './peer-parts.ts';
import { sha256 } from './store/local-task-files.ts';

export const silent = pino({ level: 'silent' });

export type Bench = ReturnType<typeof newBench>;

/** One process over a mesh and a machine, in virtual time; `joining`: over a mesh that is there. */
export function newBench(
  script?: ContainerScript,
  name = 'p',
  joining?: { readonly clock: VirtualClock; readonly mesh: FakeMesh },
  machine: ContainerHostOptions = {},
) {
  const clock = joining?.clock ?? new VirtualClock();
  const mesh = joining?.mesh ?? new FakeMesh(clock);
  const process = new DirectProcess(name, clock);
  const scripted = script === undefined ? {} : { script };
  const host = new ContainerHost(clock, name, { ...machine, ...scripted });
  const ports = mesh.portsFor(process);
  return { clock, mesh, process, host, ports, runtime: host.runtimeFor(process) };
}

/** Lets virtual time pass until the promise is settled. */
export async function settled<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let done = false;
  const watched = promise.finally(() => {
    done = true;
  });
  watched.catch(() => undefined);
  await clock.run(clock.nowMs() + 3_600_000, () => done);
  return watched;
}

/** Files of attempts in memory; what is stored goes into the mesh, if there is one. */
export class MemoryFiles implements TaskFiles {
  readonly #mesh: ArtifactStore | undefined;
  readonly stored: string[] = [];
  readonly scratches = new Set<string>();
  /** Inputs that nobody has. */
  readonly missing = new Set<ArtifactId>();
  /** By claim, stored ones too. */
  readonly logs = new Map<string, string>();

  constructor(mesh?: ArtifactStore) {
    this.#mesh = mesh;
  }

  async input(artifact: { readonly digest: ArtifactId }): Promise<string> {
    if (this.missing.has(artifact.digest)) throw new ArtifactMissingError(artifact.digest);
    return `/memory/${artifact.digest}`;
  }

  async storeOutput(kind: 'file' | 'dir', listed: AsyncIterable<OutputEntry>) {
    let text = '';
    for await (const entry of listed) {
      text += entry.path;
      if (entry.kind === 'file') for await (const piece of entry.content) text += decode(piece);
    }
    this.stored.push(text);
    return this.#put(text, kind);
  }

  scratch(claim: string): string {
    this.scratches.add(claim);
    return `/memory/scratch/${claim}`;
  }

  async release(claim: string): Promise<void> {
    this.scratches.delete(claim);
  }

  openLog(claim: string) {
    this.logs.set(claim, '');
    const text = () => this.logs.get(claim) ?? '';
    return {
      write: (_: string, bytes: Uint8Array) => {
        this.logs.set(claim, text() + decode(bytes));
      },
      store: async (): Promise<LogRef> => {
        const { digest, bytes } = await this.#put(text(), 'file');
        return { digest, bytes, truncated: false };
      },
      stderrTail: text,
      discard: async () => undefined,
    };
  }

  async reopenLog(claim: string) {
    const kept = this.logs.get(claim) ?? '';
    const spool = this.openLog(claim);
    this.logs.set(claim, kept);
    return spool;
  }

  async #put(text: string, kind: 'file' | 'dir') {
    const { ref, bytes } = sampleArtifact(Buffer.from(text), kind);
    await this.#mesh?.put(ref, inPieces(bytes));
    return ref;
  }
}

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** A journal that forgets with its process. */
export class MemoryJournal implements AttemptJournal {
  readonly entries = new Map<ClaimId, JournalEntry>();

  async write(entry: JournalEntry): Promise<void> {
    this.entries.set(entry.claim, entry);
  }

  async noteStarted(claim: ClaimId, image: string): Promise<void> {
    const entry = this.entries.get(claim);
    if (entry !== undefined)
      this.entries.set(claim, { ...entry, started: { ranMs: 0, isOfThisBoot: true, image } });
  }

  async remove(claim: ClaimId): Promise<void> {
    this.entries.delete(claim);
  }

  async list(): Promise<readonly JournalEntry[]> {
    return [...this.entries.values()];
  }
}

export const CAPACITY = { cpus: 4, memoryBytes: 2 ** 33, diskBytes: 2 ** 40, gpus: 0 };

/** All that a peer of this bench is made of. */
export function peerParts(bench: Bench, name: string): PeerParts & { journal: MemoryJournal } {
  const { ports, process, runtime } = bench;
  let ids = 0;
  const facts: PeerFacts = {
    version: '0',
    machine: SAMPLE_MACHINE,
    hardware: { cpuFlags: [], gpus: [], battery: false },
    labels: [],
    capacity: CAPACITY,
    images: {},
    limits: { memory: 'kernel', cpus: 'kernel', pids: 'kernel', disk: 'watched' },
    runtimes: ['podman'],
  };
  return {
    ...ports,
    objects: ports.artifacts,
    runtime,
    files: new MemoryFiles(ports.artifacts),
    journal: new MemoryJournal(),
    peer: peerId(name),
    session: sessionId(`${name}-1`),
    clock: process.clock,
    sha256,
    randomId: () => `${name}-claim-${++ids}`,
    logger: silent,
    loadGraph: (published) => loadGraph(ports.artifacts, published),
    describe: () => facts,
  };
}

/** A document with these jobs, each of which has an output. */
export function graphOf(...jobs: readonly object[]): Graph {
  const named = jobs.map((job) => ({
    container: 'localhost/tool:1',
    outputs: { out: 'file:/out' },
    ...job,
  }));
  const graph = parseGraph({ version: 1, jobs: named }, sha256);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error));
  return graph.value;
}

/** Puts the fact of a new run into the log; its drive is another matter. */
export function publishGraph(mesh: FakeMesh, graph: Graph): RunId {
  const run = freshRun();
  const taskCount = graph.jobs.reduce((sum, job) => sum + (job.count ?? 1), 0);
  mesh.log.append({ ...samplePublished(run, taskCount), graph: { kind: 'inline', graph } }, 0);
  return run;
}

/** What was written about a run, and nothing else. */
export const eventsOf = (mesh: FakeMesh, run: RunId) =>
  mesh.log.eventsOf(run).map(({ event }) => event);
