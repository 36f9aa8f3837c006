import { type KV, Kvm } from '@nats-io/kv';
import { type Msg, nuid } from '@nats-io/transport-node';
import type { BoxQuestion, PeerId, RunId, SecretBoxes } from '@podmesh/core';
import { peerId, runId, taskId } from '@podmesh/core';
import { AskerRates } from './asker-rates.ts';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { MessageBox } from './message-box.ts';
import { isAborted } from './pause.ts';
import { asking } from './port-error.ts';
import {
  askerOfInbox,
  BOX_SUBJECT,
  boxKey,
  boxKeys,
  inboxSubject,
  SECRET_BUCKET,
} from './subjects.ts';

/** How long the first answer is waited for; who answers asks the run log and the directory first. */
const ANSWER_MS = 3_000;
/** A connection that is down is waited for so long. */
const REACH_MS = 5_000;
/** Questions, or answers, that wait for this thread. */
const WAITING_MAX = 256;

/** Sealed boxes in a KV bucket; questions for them over core NATS, where nothing is stored. */
export class JetStreamSecretBoxes implements SecretBoxes {
  readonly #mesh: MeshConnection;
  readonly #bucket: Promise<KV>;
  readonly #asker = nuid.next();
  #questions = 0;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
    this.#bucket = new Kvm(mesh.js).open(SECRET_BUCKET);
  }

  async put(run: RunId, peer: PeerId, box: string): Promise<void> {
    const bucket = await this.#bucket;
    await asking(`store sealed secrets of ${run}`, () => bucket.put(boxKey(run, peer), box));
  }

  async find(run: RunId, peer: PeerId): Promise<string | undefined> {
    const bucket = await this.#bucket;
    const entry = await asking(`read sealed secrets of ${run}`, () =>
      bucket.get(boxKey(run, peer)),
    );
    return entry === null || entry.operation !== 'PUT' ? undefined : entry.string();
  }

  async discard(run: RunId): Promise<void> {
    const bucket = await this.#bucket;
    await asking(`forget sealed secrets of ${run}`, async () => {
      const found: string[] = [];
      for await (const key of await bucket.keys(boxKeys(run))) found.push(key);
      for (const key of found) await bucket.purge(key);
    });
  }

  async ask(question: BoxQuestion, signal: AbortSignal): Promise<string | undefined> {
    await this.#mesh.untilConnected(REACH_MS, signal);
    const inbox = inboxSubject(this.#mesh.member, this.#asker, ++this.#questions);
    const box = new MessageBox(this.#mesh, inbox, WAITING_MAX);
    try {
      await asking('ask for secrets', async () =>
        this.#mesh.nc.publish(BOX_SUBJECT, JSON.stringify(question), { reply: inbox }),
      );
      const deadline = monotonicMs() + ANSWER_MS;
      for (let leftMs = ANSWER_MS; leftMs > 0; leftMs = deadline - monotonicMs()) {
        const arrival = await box.next(leftMs, signal);
        signal.throwIfAborted();
        if (arrival.kind === 'message') return arrival.message.string();
        if (arrival.kind === 'cut') return undefined;
      }
      return undefined;
    } finally {
      box.close();
    }
  }

  async answer(
    give: (question: BoxQuestion) => Promise<string | undefined>,
    signal: AbortSignal,
  ): Promise<void> {
    if (isAborted(signal)) return;
    const box = new MessageBox(this.#mesh, BOX_SUBJECT, WAITING_MAX);
    const rates = new AskerRates(monotonicMs);
    try {
      while (!isAborted(signal)) {
        const arrival = await box.next(Number.POSITIVE_INFINITY, signal);
        if (arrival.kind !== 'message') continue;
        const asker = askerOfInbox(arrival.message.reply);
        if (asker !== undefined && rates.allows(asker))
          await this.#answerOne(arrival.message, give);
      }
    } finally {
      box.close();
    }
  }

  /** One at a time, and what is no question is dropped: whoever asked in vain asks again. */
  async #answerOne(
    message: Msg,
    give: (question: BoxQuestion) => Promise<string | undefined>,
  ): Promise<void> {
    const question = readQuestion(message);
    if (question === undefined) return;
    const box = await give(question).catch(() => undefined);
    if (box === undefined || !this.#mesh.isConnected || this.#mesh.isClosed) return;
    message.respond(box);
  }
}

function readQuestion(message: Msg): BoxQuestion | undefined {
  try {
    const said: Partial<Record<string, unknown>> = Object(JSON.parse(message.string()));
    return {
      run: runId(String(said.run)),
      task: taskId(String(said.task)),
      peer: peerId(String(said.peer)),
    };
  } catch {
    return undefined;
  }
}
