import {
  type ActionDigest,
  type ArtifactId,
  type ArtifactRef,
  type ArtifactStore,
  buildOffer,
  type Clock,
  canonicalJson,
  digestAction,
  gathersOf,
  gatherTree,
  grownRequirements,
  type InputRef,
  isSettledByPeer,
  type JobId,
  type LaneDirectory,
  type LaneId,
  largestMemoryBytes,
  type Offer,
  offeringOf,
  type PeerDirectory,
  type PeerOffering,
  type ResultCache,
  type RunId,
  type RunState,
  retryDelayMs,
  type Sha256,
} from '@podmesh/core';
import { KnownResults } from '../store/known-results.ts';
import { putText } from '../store/put-text.ts';
import type { WakeUp } from '../wake-up.ts';
import type { ImageFinder } from './image-finder.ts';
import { Items, wasTried } from './items.ts';
import type { Offered, SweeperParts } from './sweeper.ts';

export interface OffererParts extends SweeperParts {
  readonly lanes: LaneDirectory;
  readonly results: ResultCache;
  readonly artifacts: ArtifactStore;
  readonly peers: PeerDirectory;
  readonly images: ImageFinder;
  readonly clock: Clock;
  readonly sha256: Sha256;
  /** Platform of tasks that do not name an architecture, as `linux/<arch>`. */
  readonly platform: () => string;
}

interface Candidate {
  readonly task: number;
  readonly offer: Offer;
}

/** Puts ready tasks into the queue, or takes their results from the cache. */
export class Offerer {
  readonly #parts: OffererParts;
  readonly #run: RunId;
  readonly #offered: Offered;
  readonly #wake: WakeUp;
  readonly #results: KnownResults;
  readonly #items: Items;
  readonly #lanesOpened = new Set<LaneId>();
  readonly #gathered = new Map<string, ArtifactRef>();
  /** Up to which loss they tell what the tasks left. */
  #gatheredBehind = 0;
  readonly #artifacts = new Map<ArtifactId, ArtifactRef>();
  /** What the peers offer, as far as it mattered. */
  #offerings: readonly PeerOffering[] = [];
  /** `<task>/<attempts so far>` of those that have had their rest. */
  readonly #rested = new Set<string>();

  constructor(parts: OffererParts, run: RunId, offered: Offered, wake: WakeUp) {
    this.#parts = parts;
    this.#run = run;
    this.#offered = offered;
    this.#wake = wake;
    this.#results = new KnownResults(parts);
    this.#items = new Items(parts);
  }

  /** Afterwards each task is in `offered`, or its result was taken, or its time has not come yet. */
  async offer(state: RunState, tasks: readonly number[]): Promise<void> {
    const due = tasks.filter((task) => this.#isDue(state, task));
    await this.#prepare(state, due);
    const candidates: Candidate[] = [];
    for (const task of due) {
      // Things may have moved on while we prepared.
      if (state.tasks[task]?.kind === 'ready') {
        candidates.push({ task, offer: this.#build(state, task) });
      }
    }
    const fresh = await this.#takeFromCache(candidates);
    for (const { offer } of fresh) await this.#openLane(offer);
    for (const { task, offer } of fresh) {
      const { attempt, requirements } = offer;
      this.#offered.set(task, { attempt, age: 0, requirements });
    }
    try {
      await this.#parts.offers.publish(fresh.map(({ offer }) => offer));
    } catch (error) {
      // Some may have been stored: offering those twice is harmless.
      for (const { task } of fresh) this.#offered.delete(task);
      throw error;
    }
  }

  /** Their listings are made, and stored, anew when they are needed. */
  forgetGathered(): void {
    this.#gathered.clear();
  }

  /** A task that has to rest after a failure counts as offered until then. */
  #isDue(state: RunState, task: number): boolean {
    const now = state.tasks[task];
    if (now?.kind !== 'ready') return false;
    const rested = this.#rested.has(`${task}/${now.past.length}`);
    const delayMs = rested ? 0 : retryDelayMs(now.past.slice(now.forgiven));
    if (delayMs === 0) return true;
    this.#rested.add(`${task}/${now.past.length}`);
    const resting = { attempt: now.past.length + 1, age: Number.NEGATIVE_INFINITY };
    this.#offered.set(task, resting);
    void this.#parts.clock.sleep(delayMs).then(() => {
      if (this.#offered.get(task) === resting) this.#offered.delete(task);
      this.#wake.ring();
    });
    return false;
  }

  #build(state: RunState, task: number): Offer {
    return buildOffer(state, task, this.#run, {
      image: (reference) => this.#parts.images.known(reference),
      artifact: (id) => this.#artifacts.get(id),
      gathered: (job, output) => {
        const ref = this.#gathered.get(`${job}/${output}`);
        if (ref === undefined)
          throw new Error(`broken invariant: ${job}/${output} is not gathered`);
        return ref;
      },
      item: (one) => this.#items.of(one),
      largestMemoryBytes: (asked) => largestMemoryBytes(asked, this.#offerings),
      sha256: this.#parts.sha256,
    });
  }

  /** Finds out what the offers need to know: images, artifacts named in the document, gathered directories. */
  async #prepare(state: RunState, tasks: readonly number[]): Promise<void> {
    const references = new Set<string>();
    const artifacts = new Set<ArtifactId>();
    for (const task of tasks) {
      // Its inputs may have been lost since.
      if (state.tasks[task]?.kind !== 'ready') continue;
      const job = state.graph.jobs[state.index.jobOf(task)];
      if (job?.container.kind === 'reference' && job.container.pins === undefined) {
        references.add(job.container.reference);
      }
      if (job?.container.kind === 'digest') references.add(job.container.digest);
      for (const input of Object.values(job?.inputs ?? {})) {
        const id = input.kind === 'artifact' ? input.artifact : digestOfSource(input);
        if (id !== undefined && !this.#artifacts.has(id)) artifacts.add(id);
      }
      for (const { job, output } of gathersOf(state, task)) {
        // Nothing may have referred to it since it was offered first.
        if (wasTried(state, task)) this.#gathered.delete(`${job}/${output}`);
        await this.#gather(state, job, output);
      }
    }
    await this.#items.prepare(state, tasks);
    await this.#parts.images.find([...references]);
    if (tasks.some((task) => hasGrown(state, task))) await this.#measurePeers();
    if (artifacts.size === 0) return;
    for (const [id, ref] of await this.#parts.artifacts.stat([...artifacts])) {
      this.#artifacts.set(id, ref);
    }
  }

  async #measurePeers(): Promise<void> {
    this.#offerings = (await this.#parts.peers.list()).map(offeringOf);
  }

  async #gather(state: RunState, job: JobId, output: string): Promise<void> {
    const name = `${job}/${output}`;
    // What is made again may be other bytes.
    if (this.#gatheredBehind !== state.lossSequence) this.forgetGathered();
    this.#gatheredBehind = state.lossSequence;
    if (this.#gathered.has(name)) return;
    const text = canonicalJson(gatherTree(state, job, output));
    this.#gathered.set(name, await putText(this.#parts.artifacts, this.#parts.sha256, 'dir', text));
  }

  /** Those that are not in the cache. The others get their `task-cached`, fenced like any start. */
  async #takeFromCache(candidates: readonly Candidate[]): Promise<readonly Candidate[]> {
    const { log } = this.#parts;
    const actions = new Map<Candidate, ActionDigest>();
    for (const candidate of candidates) {
      const action = this.#actionOf(candidate.offer);
      if (action !== undefined) actions.set(candidate, action);
    }
    if (actions.size === 0) return candidates;
    const found = await this.#results.find([...actions.values()]);
    const fresh: Candidate[] = [];
    const taken: Promise<unknown>[] = [];
    for (const candidate of candidates) {
      const action = actions.get(candidate);
      const result = action === undefined ? undefined : found.get(action);
      if (action === undefined || result === undefined) {
        fresh.push(candidate);
        continue;
      }
      const { run, task, sequence } = candidate.offer;
      this.#offered.set(candidate.task, { attempt: candidate.offer.attempt, age: 0 });
      // Refused: somebody wrote first, and the log will tell us what.
      taken.push(log.append({ kind: 'task-cached', run, task, action, result }, sequence));
    }
    await Promise.all(taken);
    return fresh;
  }

  /** Undefined of what is not cached, and of an image that only the peer which runs the task will know. */
  #actionOf(offer: Offer): ActionDigest | undefined {
    const { sha256, platform } = this.#parts;
    const { image, requirements } = offer;
    const on = requirements.arch === undefined ? platform() : `linux/${requirements.arch}`;
    if (!offer.cache || isSettledByPeer(offer)) return undefined;
    if (image.kind === 'archive') return digestAction(offer, '', on, sha256);
    const id = image.kind === 'digest' ? image.digest : image.pins?.[on.replace('linux/', '')];
    return id === undefined ? undefined : digestAction(offer, id, on, sha256);
  }

  async #openLane({ lane, requirements }: Offer): Promise<void> {
    if (this.#lanesOpened.has(lane)) return;
    await this.#parts.lanes.open(lane, requirements);
    this.#lanesOpened.add(lane);
  }
}

/** Of a source outside of the mesh whose digest the document tells. */
function digestOfSource(input: InputRef): ArtifactId | undefined {
  return input.kind === 'external' ? input.digest : undefined;
}

function hasGrown(state: RunState, task: number): boolean {
  const now = state.tasks[task];
  const asked = state.graph.jobs[state.index.jobOf(task)]?.requirements;
  if (now?.kind !== 'ready' || asked === undefined) return false;
  return grownRequirements(asked, now.past, 0) !== asked;
}
