import {
  type ArtifactFinder,
  type ArtifactId,
  type Holders,
  type Holding,
  type PeerId,
  WHO_HAS_ROUNDS_MS,
  type WhoHasUntil,
  whoHasQuestion,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { orAborted } from '../process/sleep.ts';
import type { PeerServer } from './fake-peer-directory.ts';

type Holds = (artifacts: readonly ArtifactId[]) => readonly Omit<Holding, 'peer'>[];

interface Answerer {
  readonly process: FakeProcess;
  readonly peer: PeerId;
  readonly holds: Holds;
}

interface Question {
  readonly artifacts: readonly ArtifactId[];
  readonly rollCall: boolean;
  readonly asker: FakeProcess;
  readonly answered: (peer: PeerId, holdings: readonly Holding[]) => void;
}

/** Everybody who answers who has an artifact. Nothing is stored: questions and answers may get lost. */
export class FinderServer {
  readonly answerers = new Set<Answerer>();

  ask(question: Question): void {
    for (const answerer of this.answerers) {
      const action = () => this.answer(question, answerer);
      answerer.process.receive({ label: 'finder.question', lossy: true, action });
    }
  }

  private answer({ artifacts, rollCall, asker, answered }: Question, answerer: Answerer): void {
    const { peer, process } = answerer;
    const holdings = answerer.holds(artifacts).map((holding) => ({ ...holding, peer }));
    if (holdings.length === 0 && !rollCall) return;
    process.send('finder.answer', () => {
      const action = () => answered(peer, holdings);
      asker.receive({ label: 'finder.answer', lossy: true, action });
    });
  }
}

/** Finding artifacts as one process does. */
export class FakeArtifactFinder implements ArtifactFinder {
  private readonly process: FakeProcess;
  private readonly server: FinderServer;
  private readonly peers: PeerServer;

  constructor(process: FakeProcess, server: FinderServer, peers: PeerServer) {
    this.process = process;
    this.server = server;
    this.peers = peers;
  }

  async whoHas(
    artifacts: readonly ArtifactId[],
    until: WhoHasUntil,
    signal: AbortSignal,
  ): Promise<Holders> {
    const wanted = whoHasQuestion(artifacts);
    signal.throwIfAborted();
    if (wanted.length === 0) return { found: new Map(), silent: [] };
    const listed = until === 'roll-call' ? await this.listed(signal) : undefined;
    const survey = new Survey(wanted, listed, until === 'everybody');
    const question = {
      artifacts: wanted,
      rollCall: listed !== undefined,
      asker: this.process,
      answered: (peer: PeerId, holdings: readonly Holding[]) => survey.note(peer, holdings),
    };
    for (const waitMs of WHO_HAS_ROUNDS_MS[until]) {
      if (survey.isComplete) break;
      const asked = this.process.call('finder.ask', () => this.server.ask(question));
      await orAborted(asked, signal);
      signal.throwIfAborted();
      await survey.wait(this.process, waitMs, signal);
      signal.throwIfAborted();
    }
    return survey.holders();
  }

  async answer(peer: PeerId, holds: Holds, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const answerer = { process: this.process, peer, holds };
    this.server.answerers.add(answerer);
    const forget = this.process.onDeath(() => this.server.answerers.delete(answerer));
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    forget();
    this.server.answerers.delete(answerer);
  }

  private async listed(signal: AbortSignal): Promise<readonly PeerId[]> {
    const listing = this.process.call('finder.peers', () => this.peers.list());
    const entries = await orAborted(listing, signal);
    signal.throwIfAborted();
    return (entries ?? []).map(({ peer }) => peer);
  }
}

/** What was answered so far. */
class Survey {
  private readonly listed: readonly PeerId[] | undefined;
  private readonly everybody: boolean;
  private readonly missing: Set<ArtifactId>;
  private readonly answers = new Map<PeerId, readonly Holding[]>();
  private wake: () => void = () => undefined;

  constructor(
    wanted: readonly ArtifactId[],
    listed: readonly PeerId[] | undefined,
    everybody: boolean,
  ) {
    this.everybody = everybody;
    this.listed = listed;
    this.missing = new Set(wanted);
  }

  get isComplete(): boolean {
    if (this.listed === undefined) return !this.everybody && this.missing.size === 0;
    return this.listed.length > 0 && this.silent().length === 0;
  }

  note(peer: PeerId, holdings: readonly Holding[]): void {
    this.answers.set(peer, holdings);
    for (const { artifact, whole } of holdings) if (whole) this.missing.delete(artifact);
    if (this.isComplete) this.wake();
  }

  wait(process: FakeProcess, ms: number, signal: AbortSignal): Promise<void> {
    if (this.isComplete || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = process.after(ms, end);
      signal.addEventListener('abort', end, { once: true });
      this.wake = end;
    });
  }

  holders(): Holders {
    const found = new Map<ArtifactId, Holding[]>();
    for (const holding of [...this.answers.values()].flat()) {
      found.set(holding.artifact, [...(found.get(holding.artifact) ?? []), holding]);
    }
    return { found, silent: this.silent() };
  }

  private silent(): readonly PeerId[] {
    return (this.listed ?? []).filter((peer) => !this.answers.has(peer));
  }
}
