import type { Needs } from '../placement/lane.ts';
import { canonicalJson, type Sha256 } from '../words/digest.ts';
import { type JobId, jobId, type LaneId } from '../words/ids.ts';
import { TASK_TIMEOUT_MS_DEFAULT } from '../words/limits.ts';
import type { InputRef, Job, Requirements } from './graph.ts';
import { freeName } from './name-jobs.ts';

/** Unpacking and compiling packages takes more than a small program does. */
const INSTALL_MEMORY_BYTES = 512 * 1024 ** 2;
/** A package index that hiccups is asked again. */
const NETWORK_RETRIES = 2;
const LAYER = 'layer';
const LAYER_PATH = '/tmp/requirements';
const INSTALL_COMMAND: readonly string[] = ['podmesh-python-job', 'install', LAYER_PATH];

/** What a Python job wants installed, as the document says it. */
export interface PythonRequirements {
  readonly words: readonly string[];
  readonly file?: InputRef | undefined;
  readonly wheels?: InputRef | undefined;
}

export interface LayerParts {
  /** Ids of the document, which layers must not take. */
  readonly taken: ReadonlySet<string>;
  readonly placementOf: (needs: Needs) => {
    readonly requirements: Requirements;
    readonly lane: LaneId;
  };
  readonly sha256: Sha256;
}

/**
 * The jobs that install requirements of Python jobs: one for each distinct list, an ordinary job of
 * the graph, so that the result cache is what keeps the layer from run to run.
 */
export class RequirementLayers {
  readonly #parts: LayerParts;
  readonly #jobs = new Map<string, Job>();

  constructor(parts: LayerParts) {
    this.#parts = parts;
  }

  /** What the job reads to have its requirements; undefined when it has none. */
  layerFor(job: Job, wanted: PythonRequirements): InputRef | undefined {
    if (wanted.words.length === 0 && wanted.file === undefined && wanted.wheels === undefined) {
      return undefined;
    }
    const install = this.#install(job, wanted);
    const key = this.#parts.sha256(canonicalJson(install));
    const known = this.#jobs.get(key) ?? { ...install, id: this.#freeId(key) };
    this.#jobs.set(key, known);
    return { kind: 'output', job: known.id, output: LAYER };
  }

  jobs(): readonly Job[] {
    return [...this.#jobs.values()];
  }

  #install(job: Job, { words, file, wheels }: PythonRequirements): Omit<Job, 'id'> {
    const net = wheels === undefined;
    return {
      container: job.container,
      command: [...INSTALL_COMMAND, ...words],
      env: pipSettings(job.env),
      inputs: {
        ...(file === undefined ? {} : { requirements: file }),
        ...(wheels === undefined ? {} : { wheels }),
      },
      outputs: { [LAYER]: { kind: 'dir', path: LAYER_PATH } },
      net,
      after: [],
      ...this.#parts.placementOf(installNeeds(job.requirements)),
      timeoutMs: TASK_TIMEOUT_MS_DEFAULT,
      retries: { task: net ? NETWORK_RETRIES : 0 },
      // The hash of the requirements is part of what it does: asked once, kept until the cache is swept.
      cache: true,
    };
  }

  #freeId(key: string): JobId {
    return jobId(freeName(`requirements-${key.slice(0, 12)}`, this.#parts.taken));
  }
}

/**
 * Where the program may run, what it is made for may be installed; on a GPU nothing is. Without an architecture
 * the two may meet different ones: then the runner in the image says so (`WrongLayer`), and what to do.
 */
function installNeeds(job: Requirements): Needs {
  const memoryBytes = Math.max(job.memoryBytes, INSTALL_MEMORY_BYTES);
  return { ...job, cpus: 1, gpus: 0, memoryBytes };
}

function pipSettings(env: Job['env']): Job['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => isPipSetting(name)));
}

/** An index of one's own (`PIP_INDEX_URL`, …) is meant for the installation. */
export function isPipSetting(name: string): boolean {
  return name.startsWith('PIP_');
}
