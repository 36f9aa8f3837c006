import {
  type ArtifactId,
  type Capacity,
  type DrainTold,
  FREE,
  type OwnerVerdict,
  type PeerEntry,
  type PeerOffering,
  type Requirements,
  type RunId,
  satisfies,
  toldRations,
  toldWants,
} from '@podmesh/core';
import { Announcements } from './announcements.ts';
import { CapacityLedger } from './claim/capacity-ledger.ts';
import { ClaimGate } from './claim/claim-gate.ts';
import { Drain, type DrainOrder } from './claim/drain.ts';
import { OfferIntake } from './claim/offer-intake.ts';
import { type DriveEnding, Driver, type RunOutlook } from './drive/driver.ts';
import { Drives } from './drive/drives.ts';
import { ImageFinder } from './drive/image-finder.ts';
import { Executor } from './execute/executor.ts';
import { followCancellations } from './execute/follow-cancellations.ts';
import { Leftovers } from './execute/leftovers.ts';
import { DRAINED, FOR_THE_NIGHT, handedBack, isForTheNight } from './execute/stop-order.ts';
import { Heartbeat } from './heartbeat.ts';
import type { PeerLoad } from './observe/metric-sources.ts';
import type { PeerParts } from './peer-parts.ts';
import { LostFromStore } from './store/lost-outputs.ts';
import { WakeUp } from './wake-up.ts';

/** Containers are compared with claims this often, after the first time at the start. */
const RECONCILE_MS = 60_000;

/**
 * The daemon without its process: claims, drives, executes, reports. Everything of the outside
 * comes in through `parts`, so that the simulator runs exactly this.
 */
export class Peer {
  readonly #parts: PeerParts;
  readonly #changed = new WakeUp();
  readonly #ledger: CapacityLedger;
  readonly #executor: Executor;
  readonly #gate: ClaimGate;
  readonly #intake: OfferIntake;
  readonly #drives: Drives;
  readonly #drain: Drain;
  readonly #drivers = new Map<RunId, Driver>();
  readonly #leftovers: Leftovers;
  readonly #announcements: Announcements;
  readonly #heartbeat: Heartbeat;
  readonly #stop = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  #started = false;
  #isAsleep = false;
  #ended = 0;
  #starting: Promise<void> = Promise.resolve();

  constructor(parts: PeerParts, capacity: Capacity) {
    this.#parts = parts;
    this.#announcements = new Announcements(parts.clock);
    const announce = () => this.#announcements.make(() => this.#announce());
    const wasHeard = () => this.#announcements.wasHeard;
    this.#heartbeat = new Heartbeat({ ...parts, announce, wasHeard });
    this.#ledger = new CapacityLedger(capacity, this.#changed);
    const machine = () => parts.describe().machine;
    this.#executor = new Executor({
      ...parts,
      machine,
      limits: () => parts.describe().limits,
      isDirectoryWhole: () => this.isDirectoryWhole,
      onEnding: (attempt, ending) => {
        if (ending.kind === 'succeeded' || !isForTheNight(ending.failure)) this.#ended += 1;
        this.#gate.note(attempt, ending);
        parts.onEnding?.(attempt, ending);
      },
      isOpen: () => this.#gate.isOpen(),
    });
    this.#gate = new ClaimGate({
      ...parts,
      executor: this.#executor,
      machinePaused: () => parts.describe().paused,
      ownerReasons: () => this.#ownerReasons(),
      onChange: () => {
        this.#changed.ring();
        this.#heartbeat.hurry();
      },
    });
    this.#leftovers = new Leftovers({ ...parts, machine }, this.#executor, this.#ledger);
    this.#intake = new OfferIntake(
      {
        ...parts,
        ledger: this.#ledger,
        suits: (requirements) => this.#suits(requirements),
        isOpen: () => this.#gate.isOpen(),
        leaves: (offer) => this.#gate.leaves(offer),
        take: (claimed, reservation) => this.#executor.take(claimed, reservation),
      },
      this.#changed,
    );
    this.#drives = new Drives({
      ...parts,
      queue: parts.drives,
      drive: (run, signal) => this.#drive(run, signal),
      parked: () => this.#parked(),
    });
    const [executor, drives] = [this.#executor, this.#drives];
    this.#drain = new Drain({ ...parts, executor, drives, onChange: () => this.notice() });
  }

  #ownerReasons(): readonly string[] {
    const { reason } = this.#drain;
    const { stance, reasons } = this.#parts.owner?.verdict ?? FREE;
    const isPaused = stance === 'paused' || stance === 'handing-back';
    return [
      ...(reason === undefined ? [] : [reason]),
      ...(this.#isAsleep ? ['its machine goes to sleep'] : []),
      ...(isPaused ? [`its owner wants it so: ${reasons.join('; ')}`] : []),
    ];
  }

  /** The owner's wishes as they are from now on. */
  #obey({ stance, cpus, memory, reasons }: OwnerVerdict): void {
    this.#ledger.offer({ cpus, memory });
    if (stance === 'handing-back') {
      const why = `is wanted by its owner (${reasons.join('; ')})`;
      this.#executor.endAll(handedBack(why));
    }
    this.notice();
  }

  #lowered(): Pick<PeerEntry, 'lowered'> {
    const { stance, reasons } = this.#parts.owner?.verdict ?? FREE;
    if (stance !== 'lowered') return {};
    return { lowered: { reason: reasons.join('; '), full: this.#ledger.full } };
  }

  #parked(): number {
    return [...this.#drivers.values()].filter(({ outlook }) => outlook === 'waits-for-person')
      .length;
  }

  /** Never throws. Announces itself, settles what an earlier session left behind, then claims. */
  async start(): Promise<void> {
    if (this.#started || this.#stop.signal.aborted) return;
    this.#started = true;
    this.#starting = this.#begin();
    await this.#starting;
  }

  async #begin(): Promise<void> {
    // Before anything is claimed: whoever judges our claims must find us. The heartbeat repeats it.
    await this.#heartbeat.beat();
    await this.#leftovers.reconcile();
    await this.#gate.start();
    if (this.#stop.signal.aborted) return;
    await this.#parts.owner?.start({
      ownCores: () => this.#ledger.takenCores,
      onVerdict: (verdict) => this.#obey(verdict),
    });
    if (this.#parts.drained !== undefined) void this.drain(this.#parts.drained);
    this.#intake.start();
    this.#drives.start();
    this.#loops = Promise.all([
      this.#heartbeat.run(this.#stop.signal),
      followCancellations({ ...this.#parts, executor: this.#executor }, this.#stop.signal),
      this.#reconcile(),
    ]);
  }

  /** Takes nothing more and comes to its end; resolves when it may go, or somebody changed their mind. */
  async drain(order: DrainOrder): Promise<void> {
    await this.#drain.begin(order);
  }

  /** Claims again. Harmless when it was not drained. */
  undrain(): void {
    this.#drain.end();
  }

  /** The machine is about to sleep: everything is for others, at once; resolves when it is, and nobody looks for it here. */
  async goodNight(): Promise<void> {
    this.#isAsleep = true;
    this.notice();
    this.#executor.endAll(FOR_THE_NIGHT);
    await Promise.all([this.#drives.hold(), this.#executor.idle()]);
    const { peers, peer } = this.#parts;
    if (this.#isAsleep) await this.#announcements.hush(() => peers.withdraw(peer));
  }

  /** It is awake, whether it said that it would sleep or not: what passed on meanwhile is ended, and claims go on. */
  async goodMorning(): Promise<void> {
    this.#isAsleep = false;
    this.#announcements.speak();
    if (this.#drain.told === undefined) this.#drives.resume();
    this.notice();
    await this.#executor.endSettled();
    await this.#leftovers.reconcile();
  }

  /** Ends what runs without leaving it time to tidy up. */
  endAtOnce(): void {
    this.#executor.endAll({ ...DRAINED, isUrgent: true });
  }

  /** Ends attempts that read what was found to have wrong bytes here; which tasks they are of. */
  endReadersOf(inputs: ReadonlySet<ArtifactId>): readonly string[] {
    return this.#executor.endReadersOf(inputs).map(({ run, task }) => `${run}/${task}`);
  }

  /** Whether it has nothing in hand, and drives nothing but what waits for a person. */
  get isIdle(): boolean {
    return !this.isBusy && this.#drives.driving <= this.#parked();
  }

  /** Whether a peer that is not in the directory is gone. */
  get isDirectoryWhole(): boolean {
    return this.#announcements.isSteady();
  }

  /** Whether it has anything in hand. */
  get isBusy(): boolean {
    return this.#executor.claims().length > 0;
  }

  /** What it offers when nothing runs and its owner wants nothing. */
  get offering(): PeerOffering {
    const { labels, machine, runtimes } = this.#parts.describe();
    return { capacity: this.#ledger.full, arch: machine.arch, labels, runtimes };
  }

  /** Why it would claim nothing at any time, as things are; undefined where it would. */
  get unfit(): string | undefined {
    if (this.#drain.told !== undefined) return `it was drained (${this.#drain.told.by})`;
    const { paused } = this.#parts.describe();
    return paused ?? (this.#gate.circuit === 'open' ? 'all that it tried failed' : undefined);
  }

  /** Attempts that have ended here so far otherwise than by the sleep of this machine. */
  get ended(): number {
    return this.#ended;
  }

  /** How far it is; undefined while nobody drains it. */
  get drained(): DrainTold | undefined {
    return this.#drain.told;
  }

  /** Hands over drives, ends attempts as `drained`, and says goodbye. Works at any time, and twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#drain.stop(), this.#parts.owner?.stop()]);
    // What it adopts at its start must be there to be drained.
    await this.#starting;
    await this.#intake.stop();
    await this.#gate.stop();
    await Promise.all([this.#drives.stop(), this.#executor.drain(), this.#loops]);
    if (this.#started) await this.#parts.peers.withdraw(this.#parts.peer).catch(() => undefined);
  }

  /** Of a run that is driven elsewhere, or not yet: unknown. */
  outlookOf(run: RunId): RunOutlook {
    return this.#drivers.get(run)?.outlook ?? 'unknown';
  }

  /** What it has in hand at this moment. */
  load(): PeerLoad {
    return {
      claims: this.#executor.claims().length,
      containers: this.#executor.running().length,
      driving: this.#drives.driving,
      isClaiming: this.#gate.isOpen(),
      circuit: this.#gate.circuit,
      lanes: this.#intake.lanes,
      capacity: this.#ledger.capacity,
      free: this.#ledger.free(),
    };
  }

  /** Call when something that `describe` tells has changed. */
  notice(): void {
    this.#gate.notice();
  }

  async #drive(run: RunId, signal: AbortSignal): Promise<DriveEnding> {
    const parts = this.#parts;
    const arch = () => parts.describe().machine.arch;
    const images = new ImageFinder({ ...parts, arch });
    const platform = () => `linux/${arch()}`;
    const lost = new LostFromStore(parts.rollCall?.(signal) ?? parts.artifacts);
    const isDirectoryWhole = () => this.isDirectoryWhole;
    const driver = new Driver({ ...parts, images, platform, lost, isDirectoryWhole }, run);
    this.#drivers.set(run, driver);
    try {
      return await driver.drive(signal);
    } finally {
      this.#drivers.delete(run);
    }
  }

  #suits(requirements: Requirements): boolean {
    return satisfies(requirements, this.offering).length === 0;
  }

  async #announce(): Promise<void> {
    const { paused: _, ...facts } = this.#parts.describe();
    const { paused, rations } = this.#gate;
    const drain = this.#drain.told;
    await this.#parts.peers.announce({
      ...facts,
      ...this.#parts.networks?.(),
      ...(paused === undefined ? {} : { paused }),
      ...(drain === undefined ? {} : { drain }),
      ...toldRations(rations),
      peer: this.#parts.peer,
      session: this.#parts.session,
      capacity: this.#ledger.capacity,
      ...this.#lowered(),
      free: this.#ledger.free(),
      claims: this.#executor.claims(),
      ...this.#spending(),
      driving: this.#drives.driving,
      ...toldWants([...this.#drivers.values()].flatMap(({ wanted }) => wanted)),
    });
  }

  #spending(): Pick<PeerEntry, 'spending'> {
    const spending = this.#executor.spending();
    return Object.keys(spending).length === 0 ? {} : { spending };
  }

  async #reconcile(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(RECONCILE_MS, signal);
      if (!signal.aborted) await this.#leftovers.reconcile();
    }
  }
}
