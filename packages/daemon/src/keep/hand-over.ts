import {
  type ArtifactRef,
  type ArtifactStore,
  chooseKeepers,
  type KeepOrder,
  keeperCandidates,
  type OutputKeepers,
  type PeerDirectory,
  type PeerId,
  type RunId,
  type RunLog,
  type Sha256,
  type TaskId,
} from '@podmesh/core';
import type { Logger } from 'pino';
import { onDisksAlone } from '../drive/output-keeper.ts';
import type { RunPins, Success } from '../store/run-pins.ts';

/** Orders that wait for their answers at the same time. */
const AT_ONCE = 16;

export interface HandOverParts {
  readonly peer: PeerId;
  readonly pins: Pick<RunPins, 'successes' | 'leftApart'>;
  readonly log: Pick<RunLog, 'read' | 'runs'>;
  readonly peers: Pick<PeerDirectory, 'list'>;
  readonly keepers: Pick<OutputKeepers, 'keep'>;
  /** The object store of the mesh. */
  readonly objects: Pick<ArtifactStore, 'stat'>;
  readonly sha256: Sha256;
  readonly logger: Logger;
}

/** What one round came to. */
export interface HandOverRound {
  /** Tasks of which no other peer has confirmed that it has all that counts on this disk: outputs, logs, leftovers. */
  readonly left: number;
  /** Nobody is at work on them: there is no other peer, or all refused. */
  readonly isHopeless: boolean;
}

/**
 * Gives outputs of unfinished runs that count on this disk to another peer each, so that their runs need not make them
 * again when this one goes, and what their attempts left apart from that, such as logs, which nobody could make again. It asks like a driver asks, and like there whoever was asked is asked again until it has them.
 */
export class HandOver {
  readonly #parts: HandOverParts;
  /** Orders that another peer has confirmed, by their names. */
  readonly #kept = new Set<string>();
  readonly #refusals = new Map<string, Set<PeerId>>();

  constructor(parts: HandOverParts) {
    this.#parts = parts;
  }

  /** Asks for all that is left, once. Never throws: what could not be asked is left. */
  async round(signal: AbortSignal): Promise<HandOverRound> {
    try {
      return await this.#round(signal);
    } catch (error) {
      if (!signal.aborted) this.#parts.logger.warn({ err: error }, 'could not hand outputs over');
      const { successes, leftApart } = this.#parts.pins;
      return { left: tasksOf([...successes, ...leftApart]), isHopeless: true };
    }
  }

  async #round(signal: AbortSignal): Promise<HandOverRound> {
    const orders = (await this.#orders(signal)).filter((order) => !this.#kept.has(nameOf(order)));
    if (orders.length === 0) return { left: 0, isHopeless: false };
    const listed = await this.#parts.peers.list();
    const candidates = keeperCandidates(listed).filter(({ peer }) => peer !== this.#parts.peer);
    const self = keeperCandidates(listed).filter(({ peer }) => peer === this.#parts.peer);
    const left: KeepOrder[] = [];
    let atWork = 0;
    const next = orders.values();
    const ask = async (): Promise<void> => {
      for (const order of next) {
        const refused = this.#refusals.get(nameOf(order));
        const others = candidates.filter(({ peer }) => refused?.has(peer) !== true);
        const keeper = this.#choose(order, [...self, ...others]);
        if (keeper !== undefined && (await this.#ask(keeper, order, signal))) continue;
        left.push(order);
        if (keeper !== undefined) atWork += 1;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
    // Who refused may be asked again in the next round, when nobody else is left.
    if (atWork === 0) this.#refusals.clear();
    return { left: tasksOf(left), isHopeless: left.length > 0 && atWork === 0 };
  }

  #choose(order: KeepOrder, peers: Parameters<typeof chooseKeepers>[0]): PeerId | undefined {
    const { peer, sha256 } = this.#parts;
    const [first] = order.outputs;
    if (first === undefined) return undefined;
    const bytes = order.outputs.reduce((sum, output) => sum + output.bytes, 0);
    const need = { artifact: first.digest, bytes, copies: 2, holders: [peer] };
    return chooseKeepers(peers, need, sha256).keepers[0];
  }

  /** Whether the peer has it all. */
  async #ask(keeper: PeerId, order: KeepOrder, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#parts.keepers.keep(keeper, order, signal);
    const name = nameOf(order);
    if (answer.kind === 'kept') this.#kept.add(name);
    if (answer.kind === 'refused' || answer.kind === 'silent') {
      const refused = this.#refusals.get(name) ?? new Set();
      this.#refusals.set(name, refused.add(keeper));
    }
    return answer.kind === 'kept';
  }

  /** What is held here: of successes as the logs of the runs tell of it, of the rest all. Who has it says so at once. */
  async #orders(signal: AbortSignal): Promise<readonly KeepOrder[]> {
    const held = new Map<RunId, Set<TaskId>>();
    for (const { run, task } of this.#parts.pins.successes) {
      held.set(run, (held.get(run) ?? new Set()).add(task));
    }
    const orders: KeepOrder[] = [];
    for (const [run, tasks] of held) orders.push(...(await this.#ordersOf(run, tasks, signal)));
    return [...orders, ...(await this.#leftApart())];
  }

  /** Of runs that are over nobody counts on a copy. */
  async #leftApart(): Promise<readonly KeepOrder[]> {
    const { leftApart } = this.#parts.pins;
    if (leftApart.length === 0) return [];
    const runs = await this.#parts.log.runs();
    const over = new Set(runs.filter(({ ended }) => ended !== undefined).map(({ run }) => run));
    return leftApart.filter(({ run }) => !over.has(run));
  }

  async #ordersOf(
    run: RunId,
    tasks: ReadonlySet<TaskId>,
    signal: AbortSignal,
  ): Promise<readonly KeepOrder[]> {
    const outputs = new Map<TaskId, readonly ArtifactRef[]>();
    for await (const batch of this.#parts.log.read(run, signal)) {
      for (const { event } of batch) {
        if (!('task' in event) || !tasks.has(event.task)) continue;
        if (event.kind === 'attempt-succeeded' || event.kind === 'task-cached')
          outputs.set(event.task, await onDisksAlone(event.result.outputs, this.#parts.objects));
        // Others were asked before, by the run's driver.
        if (
          event.kind === 'outputs-kept' &&
          event.keepers.some((peer) => peer !== this.#parts.peer)
        )
          outputs.delete(event.task);
      }
    }
    return [...outputs].flatMap(([task, refs]) =>
      refs.length === 0 ? [] : [{ run, task, outputs: refs }],
    );
  }
}

const tasksOf = (all: readonly Success[]): number =>
  new Set(all.map(({ run, task }) => `${run} ${task}`)).size;

const nameOf = ({ run, task, apart, outputs }: KeepOrder): string =>
  [run, task, apart === true, ...outputs.map(({ digest }) => digest)].join(' ');
