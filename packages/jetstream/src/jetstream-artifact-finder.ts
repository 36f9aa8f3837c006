import type { Msg } from '@nats-io/transport-node';
import { nuid } from '@nats-io/transport-node';
import {
  type ArtifactFinder,
  type ArtifactId,
  type Holders,
  type Holding,
  type PeerDirectory,
  type PeerId,
  WHO_HAS_ROUNDS_MS,
  type WhoHasUntil,
  whoHasQuestion,
} from '@podmesh/core';
import { AskerRates } from './asker-rates.ts';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { MeshSilentError } from './mesh-errors.ts';
import { MessageBox } from './message-box.ts';
import { isAborted } from './pause.ts';
import { asking } from './port-error.ts';
import { askerOfInbox, inboxSubject, WHO_HAS_SUBJECT } from './subjects.ts';
import { TokenBucket } from './token-bucket.ts';
import { unlessAborted } from './unless-aborted.ts';
import {
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  type WhoHasQuestion,
} from './who-has-message.ts';
import { WhoHasSheet } from './who-has-sheet.ts';

export interface ArtifactFinderOptions {
  /** For the answering rates; tests set it. */
  readonly nowMs?: () => number;
}

/** Less than anybody is answered: who asks faster waits here, and is not taken for one whom peers are silent to. */
const QUESTIONS_PER_S = 40;
/** A connection that is down is waited for so long. */
const REACH_MS = 5_000;
/** A round that the connection did not survive is begun again so often. */
const CUTS_MAX = 5;
/** Answers and questions that wait for this thread; together a few MiB at most. */
const WAITING_MAX = 2_048;

interface Survey {
  readonly question: WhoHasQuestion;
  readonly inbox: string;
  readonly box: MessageBox;
  readonly sheet: WhoHasSheet;
  readonly signal: AbortSignal;
}

/**
 * Asks all peers at once over core NATS, where nothing is stored and no watch can stall. Whoever asks
 * hears itself too, if it is a peer. `whoHas` rejects with the signal's reason, and with a retryable
 * `PortError` when the mesh is away: an answer that nobody could give may not look like "nobody has it".
 */
export class JetStreamArtifactFinder implements ArtifactFinder {
  readonly #mesh: MeshConnection;
  readonly #peers: Pick<PeerDirectory, 'list'>;
  readonly #nowMs: () => number;
  readonly #asker = nuid.next();
  readonly #rate = new TokenBucket({ perSecond: QUESTIONS_PER_S, burst: QUESTIONS_PER_S / 2 });
  #questions = 0;

  constructor(
    mesh: MeshConnection,
    peers: Pick<PeerDirectory, 'list'>,
    options: ArtifactFinderOptions = {},
  ) {
    this.#mesh = mesh;
    this.#peers = peers;
    this.#nowMs = options.nowMs ?? monotonicMs;
  }

  async whoHas(
    artifacts: readonly ArtifactId[],
    until: WhoHasUntil,
    signal: AbortSignal,
  ): Promise<Holders> {
    const wanted = whoHasQuestion(artifacts);
    signal.throwIfAborted();
    if (wanted.length === 0) return { found: new Map(), silent: [] };
    const rollCall = until === 'roll-call';
    const listed = rollCall ? await this.#listed(signal) : undefined;
    const inbox = inboxSubject(this.#mesh.member, this.#asker, ++this.#questions);
    const box = await asking('ask who has artifacts', async () => this.#box(inbox));
    const sheet = new WhoHasSheet(wanted, listed, until === 'everybody');
    const question = { artifacts: wanted, rollCall };
    try {
      for (const waitMs of WHO_HAS_ROUNDS_MS[until])
        await this.#round({ question, inbox, box, sheet, signal }, waitMs);
    } finally {
      box.close();
    }
    return sheet.holders();
  }

  async answer(
    peer: PeerId,
    holds: (artifacts: readonly ArtifactId[]) => readonly Omit<Holding, 'peer'>[],
    signal: AbortSignal,
  ): Promise<void> {
    if (isAborted(signal)) return;
    const box = await asking('answer who has artifacts', async () => this.#box(WHO_HAS_SUBJECT));
    const rates = new AskerRates(this.#nowMs);
    try {
      while (!isAborted(signal)) {
        const arrival = await box.next(Number.POSITIVE_INFINITY, signal);
        if (arrival.kind !== 'message') continue;
        const asker = askerOfInbox(arrival.message.reply);
        if (asker !== undefined && rates.allows(asker))
          this.#answerOne(arrival.message, peer, holds);
      }
    } finally {
      box.close();
    }
  }

  #box(subject: string): MessageBox {
    return new MessageBox(this.#mesh, subject, WAITING_MAX);
  }

  async #listed(signal: AbortSignal): Promise<readonly PeerId[]> {
    await this.#reach(signal);
    const entries = await unlessAborted(this.#peers.list(), signal);
    return entries.map(({ peer }) => peer);
  }

  async #reach(signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#mesh.untilConnected(REACH_MS, signal), signal);
  }

  /** Asks once and listens for so long; again when the connection broke, since the question may be lost. */
  async #round(survey: Survey, waitMs: number): Promise<void> {
    const { question, inbox, sheet } = survey;
    for (let cuts = 0; !sheet.isComplete; cuts++) {
      if (cuts > CUTS_MAX) throw new MeshSilentError('ask who has artifacts');
      await this.#reach(survey.signal);
      await this.#rate.wait(1, survey.signal);
      survey.signal.throwIfAborted();
      await asking('ask who has artifacts', async () =>
        this.#mesh.nc.publish(WHO_HAS_SUBJECT, encodeQuestion(question), { reply: inbox }),
      );
      if (await this.#listen(survey, monotonicMs() + waitMs)) return;
    }
  }

  /** False: the connection broke before the time was up. */
  async #listen({ question, box, sheet, signal }: Survey, deadline: number): Promise<boolean> {
    while (!sheet.isComplete) {
      const leftMs = deadline - monotonicMs();
      if (leftMs <= 0) return true;
      const arrival = await box.next(leftMs, signal);
      signal.throwIfAborted();
      if (arrival.kind === 'cut') return false;
      if (arrival.kind === 'quiet') continue;
      const answer = decodeAnswer(arrival.message.data, question.artifacts);
      if (answer !== undefined) sheet.note(answer);
    }
    return true;
  }

  /** What is no question is dropped. */
  #answerOne(
    { reply, data }: Msg,
    peer: PeerId,
    holds: (artifacts: readonly ArtifactId[]) => readonly Omit<Holding, 'peer'>[],
  ): void {
    const question = decodeQuestion(data);
    if (question === undefined || reply === undefined) return;
    const holdings = holds(question.artifacts);
    if (holdings.length === 0 && !question.rollCall) return;
    // An asker whose question came before a cut asks again.
    if (!this.#mesh.isConnected || this.#mesh.isClosed) return;
    this.#mesh.nc.publish(reply, encodeAnswer(peer, holdings, question.artifacts));
  }
}
