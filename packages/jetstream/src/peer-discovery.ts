import type { Msg } from '@nats-io/transport-node';
import type { PeerId } from '@podmesh/core';
import { AskerRates } from './asker-rates.ts';
import { encodeJson } from './json-codec.ts';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { MessageBox } from './message-box.ts';
import { isAborted } from './pause.ts';
import { asking } from './port-error.ts';
import { anyAskerOfInbox, SERVICE_NAME, serviceSubjects, statusSubject } from './subjects.ts';

/** What the standard tools are told of this peer. */
export interface DiscoveredFacts {
  /** Semantic version (semver.org). */
  readonly version: string;
  /** What does not change while the peer runs; values are texts (ADR-32). */
  readonly metadata: Readonly<Record<string, string>>;
  /** What does: read again for each `$SRV.STATS`, and the answer of the status endpoint. */
  readonly status: () => object;
}

/** Questions that wait for this thread, of each kind. */
const WAITING_MAX = 256;
const DESCRIPTION =
  'A podmesh peer: claims the tasks of published graphs and runs their containers';
const NS_PER_MS = 1_000_000;

type Verb = 'PING' | 'INFO' | 'STATS';
const isVerb = (word: string | undefined): word is Verb =>
  word === 'PING' || word === 'INFO' || word === 'STATS';

/**
 * Answers the discovery of NATS micro-services (ADR-32), by which `nats service ls`, `info`, `stats` and `ping` find
 * peers, and one endpoint that tells how the peer does. Own code, because the package for it pins another version of
 * the client (NATS.md §1), and because only inboxes are answered here, each asker at a bounded rate.
 */
export class PeerDiscovery {
  readonly #mesh: MeshConnection;
  readonly #peer: PeerId;
  readonly #facts: DiscoveredFacts;
  readonly #rates = new AskerRates(monotonicMs);
  readonly #startedAt = new Date().toISOString();
  readonly #stop = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  #requests = 0;
  #busyNs = 0;
  #errors = 0;
  #lastError = '';

  constructor(mesh: MeshConnection, peer: PeerId, facts: DiscoveredFacts) {
    this.#mesh = mesh;
    this.#peer = peer;
    this.#facts = facts;
  }

  /** Resolves when it is subscribed. Throws a `PortError` when the connection is closed. */
  async start(): Promise<void> {
    const boxes = await asking('answer the discovery of services', async () => ({
      discovery: serviceSubjects(this.#peer).map((subject) => this.#box(subject)),
      status: this.#box(statusSubject(this.#peer)),
    }));
    this.#loops = Promise.all([
      ...boxes.discovery.map((box) => this.#serve(box, (message) => this.#discover(message))),
      this.#serve(boxes.status, () => this.#tellStatus()),
    ]);
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loops;
  }

  #box(subject: string): MessageBox {
    return new MessageBox(this.#mesh, subject, WAITING_MAX);
  }

  async #serve(box: MessageBox, answer: (message: Msg) => object | undefined): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (!isAborted(signal)) {
        const arrival = await box.next(Number.POSITIVE_INFINITY, signal);
        if (arrival.kind === 'message') this.#reply(arrival.message, answer);
      }
    } finally {
      box.close();
    }
  }

  #reply(message: Msg, answer: (message: Msg) => object | undefined): void {
    const asker = anyAskerOfInbox(message.reply);
    if (asker === undefined || !this.#rates.allows(asker)) return;
    const said = answer(message);
    if (said === undefined || message.reply === undefined) return;
    // An asker whose question came before a cut asks again.
    if (this.#mesh.isConnected && !this.#mesh.isClosed)
      this.#mesh.nc.publish(message.reply, encodeJson(said));
  }

  #discover({ subject }: Msg): object | undefined {
    const verb = subject.split('.')[1];
    if (!isVerb(verb)) return undefined;
    const { version, metadata } = this.#facts;
    const common = {
      type: `io.nats.micro.v1.${verb.toLowerCase()}_response`,
      name: SERVICE_NAME,
      id: this.#peer,
      version,
      metadata,
    };
    switch (verb) {
      case 'PING':
        return common;
      case 'INFO':
        return { ...common, description: DESCRIPTION, endpoints: [this.#endpoint()] };
      case 'STATS':
        return { ...common, started: this.#startedAt, endpoints: [this.#statistics()] };
      default:
        return verb satisfies never;
    }
  }

  #endpoint() {
    return { name: 'status', subject: statusSubject(this.#peer), queue_group: 'q' };
  }

  /** Times in nanoseconds, as ADR-32 has them. */
  #statistics() {
    const average = this.#requests === 0 ? 0 : Math.round(this.#busyNs / this.#requests);
    const data = this.#status();
    return {
      ...this.#endpoint(),
      num_requests: this.#requests,
      num_errors: this.#errors,
      last_error: this.#lastError,
      processing_time: this.#busyNs,
      average_processing_time: average,
      data,
    };
  }

  #tellStatus(): object {
    const from = monotonicMs();
    this.#requests += 1;
    const status = this.#status();
    if ('error' in status) this.#errors += 1;
    this.#busyNs += Math.round((monotonicMs() - from) * NS_PER_MS);
    return status;
  }

  /** Never throws: whoever asks for what cannot be told learns that. */
  #status(): object {
    try {
      return this.#facts.status();
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error);
      return { error: this.#lastError };
    }
  }
}
