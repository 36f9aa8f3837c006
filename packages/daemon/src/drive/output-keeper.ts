import { setMaxListeners } from 'node:events';
import {
  type ArtifactFinder,
  type ArtifactId,
  type ArtifactRef,
  type ArtifactStore,
  type Clock,
  chooseKeepers,
  KEEP_MS_MAX,
  KEEP_PATIENCE_MS,
  type KeepAnswer,
  type KeepOrder,
  keeperCandidates,
  lossOf,
  OBJECT_ALWAYS_BYTES_MAX,
  type OutputKeepers,
  type PeerDirectory,
  type PeerEntry,
  type PeerId,
  type RunId,
  type RunLog,
  type RunState,
  type Sha256,
  type TaskSucceeded,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { LostOutputs } from '../store/lost-outputs.ts';
import type { WakeUp } from '../wake-up.ts';
import { KeepSurvey } from './keep-survey.ts';

/** Between two questions to the same keepers: soon at first, since most have it already or get it at once. */
const ASK_AGAIN_MS = { first: 50, most: 2_000 };
/** Rest after something failed; everything is decided again from the log. */
const RETRY_MS = 1_000;
/** What was told is folded by then, whoever told it; else everything is decided again. */
const FOLDED_MS = 30_000;
/** The list of peers is believed for this long, by all tasks of the run together. */
const PEERS_BELIEVED_MS = 2_000;
/** That nobody has something is looked into this often: it is a question to everybody. */
const ROLL_CALL_MS = 15_000;

export interface OutputKeeperParts {
  readonly log: RunLog;
  readonly peers: PeerDirectory;
  readonly keepers: OutputKeepers;
  readonly finder: Pick<ArtifactFinder, 'whoHas'>;
  readonly lost: LostOutputs;
  /** The object store of the mesh. */
  readonly objects: Pick<ArtifactStore, 'stat'>;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly logger: Logger;
  /** False while entries of the directory may be missing of peers that are there; absent: never. */
  readonly isDirectoryWhole?: () => boolean;
}

/** One success whose outputs are to be on so many peers. */
interface Keep {
  readonly task: number;
  readonly success: TaskSucceeded;
  readonly wanted: number;
  readonly order: KeepOrder;
  readonly survey: KeepSurvey;
  readonly beganAtMs: number;
  /** When everybody was asked last who has it. */
  calledAtMs: number;
}

/**
 * Brings outputs to other peers, or finds out why not, beside everything else that the driver does. All that is told
 * is what peers confirmed in one and the same round, so what the log says was true when it was said. A driver that
 * dies is replaced by one that asks again.
 */
export class OutputKeeper {
  readonly #parts: OutputKeeperParts;
  readonly #run: RunId;
  readonly #wake: WakeUp;
  readonly #signal: AbortSignal;
  readonly #atWork = new Map<number, Promise<void>>();
  #believed:
    | { readonly untilMs: number; readonly entries: Promise<readonly PeerEntry[]> }
    | undefined;

  /** `wake` is rung when something failed and has to be decided again; all ends with the signal. */
  constructor(parts: OutputKeeperParts, run: RunId, wake: WakeUp, signal: AbortSignal) {
    this.#parts = parts;
    this.#run = run;
    this.#wake = wake;
    this.#signal = AbortSignal.any([signal]);
    // Each of the tasks that are at work waits with it.
    setMaxListeners(0, this.#signal);
  }

  /** Returns at once; does nothing for what is under way. */
  begin(state: RunState, task: number, wanted: number): void {
    if (this.#atWork.has(task) || this.#signal.aborted) return;
    const work = this.#keep(state, task, wanted)
      .catch(async (error: unknown) => {
        if (this.#signal.aborted) return;
        const id = state.index.idOf(task);
        this.#parts.logger.warn({ run: this.#run, task: id, err: error }, 'cannot keep outputs');
        await this.#parts.clock.sleep(RETRY_MS, this.#signal);
      })
      .finally(() => {
        this.#atWork.delete(task);
        this.#wake.ring();
      });
    this.#atWork.set(task, work);
  }

  /** After the signal: resolves when nothing is at work any more. */
  async ended(): Promise<void> {
    await Promise.all(this.#atWork.values());
  }

  async #keep(state: RunState, task: number, wanted: number): Promise<void> {
    const success = state.tasks[task];
    if (success?.kind !== 'succeeded') return;
    const nowMs = this.#parts.clock.nowMs();
    const outputs = await onDisksAlone(success.result.outputs, this.#parts.objects);
    if (state.tasks[task] !== success) return;
    const order = { run: this.#run, task: state.index.idOf(task), outputs };
    // Whoever called the result large had other limits.
    if (outputs.length === 0) return await this.#tellNothing(order, success, wanted);
    const survey = new KeepSurvey(this.#parts.clock);
    const times = { beganAtMs: nowMs, calledAtMs: nowMs };
    const keep: Keep = { task, success, wanted, order, survey, ...times };
    await this.#askHolders(keep);
    let restMs = ASK_AGAIN_MS.first;
    // Whatever is folded into the task makes it another object: then this is decided anew.
    while (state.tasks[task] === success && !this.#signal.aborted) {
      const isTold = await this.#round(state, keep);
      if (isTold) return await this.#untilFolded(state, keep);
      await this.#parts.clock.sleep(restMs, this.#signal);
      restMs = Math.min(2 * restMs, ASK_AGAIN_MS.most);
    }
  }

  /** Decided again before what was told is folded, it would be ordered, and pinned, anew. */
  async #untilFolded(state: RunState, { task, success }: Keep): Promise<void> {
    const { clock } = this.#parts;
    const untilMs = clock.nowMs() + FOLDED_MS;
    while (state.tasks[task] === success && !this.#signal.aborted && clock.nowMs() < untilMs)
      await clock.sleep(ASK_AGAIN_MS.first, this.#signal);
  }

  /** Whether it is settled, and in the log. */
  async #round(state: RunState, keep: Keep): Promise<boolean> {
    const { survey, wanted, order } = keep;
    const entries = await this.#peers();
    this.#choose(keep, entries);
    const asked = [...survey.asked];
    const answers = await Promise.all(
      asked.map((peer) => this.#parts.keepers.keep(peer, order, this.#signal)),
    );
    asked.forEach((peer, at) => {
      survey.note(peer, answers[at] ?? SILENT);
    });
    const { kept } = survey;
    if (kept.length >= wanted) return await this.#tell(keep, kept, onOneMachine(kept, entries));
    const nowMs = this.#parts.clock.nowMs();
    const isNowhere = kept.length === 0 && !survey.isAtWork;
    if (isNowhere && (await this.#isLost(keep, nowMs))) return await this.#lose(state, keep);
    const short = this.#shortness(keep, entries, nowMs);
    return short === undefined ? false : await this.#tell(keep, kept, short);
  }

  /** A result of an earlier run may be on peers that had no part in this one. */
  async #askHolders({ success, order, survey }: Keep): Promise<void> {
    const digests = order.outputs.map(({ digest }) => digest);
    const listed = (await this.#peers()).map(({ peer }) => peer);
    if (!success.cached && listed.includes(success.result.peer)) return;
    const { found } = await this.#parts.finder.whoHas(digests, 'first', this.#signal);
    const has = (peer: PeerId, digest: ArtifactId) =>
      found.get(digest)?.some((holding) => holding.whole && holding.peer === peer) === true;
    for (const peer of listed) if (digests.every((digest) => has(peer, digest))) survey.ask(peer);
  }

  /** The producer first: it has everything, and most runs need one other. */
  #choose({ survey, success, order, wanted }: Keep, entries: readonly PeerEntry[]): void {
    const listed = entries.map(({ peer }) => peer);
    survey.keepOnly(listed);
    if (listed.includes(success.result.peer)) survey.ask(success.result.peer);
    const [first] = order.outputs;
    if (first === undefined) return;
    const candidates = keeperCandidates(entries).filter(({ peer }) => survey.mayAsk(peer));
    const need = {
      artifact: first.digest,
      bytes: order.outputs.reduce((sum, { bytes }) => sum + bytes, 0),
      copies: wanted,
      holders: [...survey.asked],
    };
    for (const peer of chooseKeepers(candidates, need, this.#parts.sha256).keepers)
      survey.ask(peer);
  }

  /** Why nobody waits any longer for as many copies as are wanted; undefined: they still may come. */
  #shortness(keep: Keep, entries: readonly PeerEntry[], nowMs: number): string | undefined {
    const { survey, beganAtMs } = keep;
    const { kept } = survey;
    const others = entries.filter(({ peer }) => !kept.includes(peer));
    if (this.#parts.isDirectoryWhole?.() === false) return undefined;
    if (kept.length > 0 && others.length === 0) return 'no other peer is in the mesh';
    if (kept.length > 0 && others.every(({ keeps }) => keeps === undefined))
      return 'no other peer in the mesh keeps outputs for others';
    const isIdle = nowMs - survey.idleSinceMs >= KEEP_PATIENCE_MS;
    if (!isIdle && nowMs - beganAtMs < KEEP_MS_MAX) return undefined;
    return survey.refusals() ?? 'no other peer has room for it';
  }

  async #tell(keep: Keep, keepers: readonly PeerId[], short: string | undefined): Promise<boolean> {
    const { order, success, wanted } = keep;
    const { run, task } = order;
    const { ok } = await this.#parts.log.append(
      {
        kind: 'outputs-kept',
        run,
        task,
        keepers,
        wanted,
        ...(short === undefined ? {} : { short }),
      },
      success.sequence,
    );
    // Refused: somebody else wrote first, and the log will tell us what.
    if (ok && keepers.length >= wanted)
      this.#parts.keepers.release({ run, tasks: [task], as: 'kept' });
    return true;
  }

  async #tellNothing(order: KeepOrder, success: TaskSucceeded, wanted: number): Promise<void> {
    const { run, task } = order;
    const [keepers, short] = [[success.result.peer], 'it left nothing that needs copies'];
    const kept = { kind: 'outputs-kept', run, task, keepers, wanted, short } as const;
    await this.#parts.log.append(kept, success.sequence);
  }

  async #isLost(keep: Keep, nowMs: number): Promise<boolean> {
    if (nowMs - keep.calledAtMs < ROLL_CALL_MS) return false;
    keep.calledAtMs = nowMs;
    return (await this.#parts.lost.missing(keep.order.outputs)).length > 0;
  }

  /** Nobody has them: they are made again, unless that did not help before. */
  async #lose(state: RunState, { task, order, success, wanted }: Keep): Promise<boolean> {
    const { digest } = order.outputs[0] ?? {};
    const behind = state.lossSequence;
    if (state.tasks[task] !== success || digest === undefined) return true;
    const loss = lossOf(
      state,
      this.#run,
      task,
      order.outputs.map((output) => output.digest),
    );
    if (loss === undefined) {
      const short = 'nobody has them any more';
      const kept = { kind: 'outputs-kept', run: this.#run, task: order.task, wanted } as const;
      await this.#parts.log.append({ ...kept, keepers: [], short }, success.sequence);
      return true;
    }
    const { run, artifacts, rerun } = loss;
    this.#parts.logger.warn(
      { run, task: order.task, artifacts, rerun },
      'outputs were lost before they were copied; making them again',
    );
    // Refused: somebody ended the run, or told of a loss, before us.
    await this.#parts.log.append({ ...loss, behind }, behind);
    return true;
  }

  /** Asked once for all tasks that want to know at the same time. */
  #peers(): Promise<readonly PeerEntry[]> {
    const nowMs = this.#parts.clock.nowMs();
    if (this.#believed === undefined || this.#believed.untilMs <= nowMs) {
      const entries = this.#parts.peers.list();
      const believed = { untilMs: nowMs + PEERS_BELIEVED_MS, entries };
      entries.catch(() => {
        if (this.#believed === believed) this.#believed = undefined;
      });
      this.#believed = believed;
    }
    return this.#believed.entries;
  }
}

const SILENT: KeepAnswer = { kind: 'silent' };

/**
 * Of the outputs of a success that has some which are on the disks of peers alone, all that may be those: also small
 * ones for which the object store had no room. A listing is in there, what it lists may not be.
 */
export async function onDisksAlone(
  outputs: Readonly<Record<string, ArtifactRef>>,
  objects: Pick<ArtifactStore, 'stat'>,
): Promise<readonly ArtifactRef[]> {
  const isSmall = ({ kind, bytes }: ArtifactRef): boolean =>
    kind === 'file' && bytes <= OBJECT_ALWAYS_BYTES_MAX;
  const all = Object.values(outputs);
  const small = all.filter(isSmall).map(({ digest }) => digest);
  const stored = small.length === 0 ? new Map() : await objects.stat(small);
  return all.filter((output) => !isSmall(output) || !stored.has(output.digest));
}

function onOneMachine(
  keepers: readonly PeerId[],
  entries: readonly PeerEntry[],
): string | undefined {
  if (keepers.length < 2) return undefined;
  const hosts = keepers.map(
    (keeper) => entries.find(({ peer }) => peer === keeper)?.keeps?.host ?? `peer ${keeper}`,
  );
  return new Set(hosts).size === 1 ? 'all copies are on one machine' : undefined;
}
