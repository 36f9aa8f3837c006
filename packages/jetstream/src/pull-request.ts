import { createInbox, type Msg, nanos, type Subscription } from '@nats-io/transport-node';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { inboxPrefix } from './subjects.ts';

/**
 * Why a pull is over. `done`: all that was asked for came. `expired`: the time is up. `missing`:
 * nobody answers for the consumer, it may be gone. `broken`: anything after which another pull may
 * succeed (leader change, silence, disconnection, too many pulls). `stopped`: by us.
 */
export type PullEnd = 'done' | 'expired' | 'missing' | 'broken' | 'stopped';

export interface PullOptions {
  readonly stream: string;
  readonly consumer: string;
  readonly batch: number;
  /** The server ends the pull before a message that would pass this many bytes. */
  readonly bytesMax?: number;
  /** 0: only what is there now. */
  readonly expiresMs: number;
  /** Called with messages that come after the end, while the server has not heard of it yet. */
  readonly onUnwanted?: (message: Msg) => void;
}

/** A server that owes us a sign of life for longer than this is taken for dead. */
const SILENCE_GRACE_MS = 1_000;
const HEARTBEAT_MS_MAX = 2_000;
/** Shorter pulls end by themselves before a missed heartbeat would tell. */
const HEARTBEAT_FROM_MS = 2_000;

/**
 * One pull request by hand. The client's own fetch() asks for the consumer's state, keeps a status
 * iterator per call, cannot give back what arrives while it is being stopped, and stalls through
 * server deaths (NATS.md §0.4): here every way in which it can end is a value.
 */
export class PullRequest {
  readonly #mesh: MeshConnection;
  readonly #options: PullOptions;
  readonly #subscription: Subscription;
  readonly #forgetStatus: () => void;
  readonly #heartbeatMs: number;
  readonly #deadline: number;
  readonly #timer: NodeJS.Timeout;
  #arrived: Msg[] = [];
  #received = 0;
  #heardAt = monotonicMs();
  #end: PullEnd | undefined;
  #wake: (() => void) | undefined;

  constructor(mesh: MeshConnection, options: PullOptions) {
    this.#mesh = mesh;
    this.#options = options;
    const { expiresMs } = options;
    this.#heartbeatMs =
      expiresMs >= HEARTBEAT_FROM_MS ? Math.min(HEARTBEAT_MS_MAX, expiresMs / 2) : 0;
    this.#deadline = monotonicMs() + expiresMs + SILENCE_GRACE_MS;
    const inbox = createInbox(inboxPrefix(mesh.member));
    this.#subscription = mesh.nc.subscribe(inbox, {
      callback: (error, message) =>
        error === null ? this.#onMessage(message) : this.#finish('broken'),
    });
    this.#forgetStatus = mesh.onStatus((status) => {
      if (status.kind === 'disconnected' || status.kind === 'closed') this.#finish('broken');
    });
    this.#timer = setInterval(
      () => this.#check(),
      this.#heartbeatMs || expiresMs + SILENCE_GRACE_MS,
    );
    this.#ask(inbox);
  }

  /** Set once over; messages may still be there to take. */
  get end(): PullEnd | undefined {
    return this.#end;
  }

  /** Resolves when there is something to take, or it is over. */
  async ready(): Promise<void> {
    if (this.#arrived.length > 0 || this.#end !== undefined) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Up to `max` of what has arrived, in order. */
  take(max: number): readonly Msg[] {
    if (this.#arrived.length <= max) {
      const all = this.#arrived;
      this.#arrived = [];
      return all;
    }
    return this.#arrived.splice(0, max);
  }

  /** Ends it; what comes from now on goes to `onUnwanted`. Harmless when it is over. */
  stop(): void {
    this.#finish('stopped');
  }

  #ask(inbox: string): void {
    const { stream, consumer, batch, bytesMax, expiresMs } = this.#options;
    const request = {
      batch,
      ...(bytesMax === undefined ? {} : { max_bytes: bytesMax }),
      ...(expiresMs > 0 ? { expires: nanos(expiresMs) } : { no_wait: true }),
      ...(this.#heartbeatMs > 0 ? { idle_heartbeat: nanos(this.#heartbeatMs) } : {}),
    };
    if (!this.#mesh.isConnected) {
      // Publishing now would only fill the client's buffer with a request nobody waits for.
      this.#finish('broken');
      return;
    }
    this.#mesh.nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
      JSON.stringify(request),
      {
        reply: inbox,
      },
    );
  }

  #onMessage(message: Msg): void {
    this.#heardAt = monotonicMs();
    const code = message.headers?.code ?? 0;
    if (code !== 0) {
      this.#onStatus(code, message.headers?.description ?? '');
      return;
    }
    if (this.#end !== undefined) {
      this.#options.onUnwanted?.(message);
      return;
    }
    this.#arrived.push(message);
    this.#received++;
    if (this.#received >= this.#options.batch) this.#finish('done');
    this.#wakeUp();
  }

  /** ADR-37 and -13: 100 heartbeat, 404 nothing there, 408 time is up, 409 various, 503 nobody listens. */
  #onStatus(code: number, description: string): void {
    if (code === 100) return;
    if (code === 404 || code === 408) this.#finish('expired');
    else if (code === 503) this.#finish('missing');
    else if (code === 409 && /max ?bytes|batch completed/i.test(description)) this.#finish('done');
    else if (code === 409 && /deleted/i.test(description)) this.#finish('missing');
    else this.#finish('broken');
  }

  #check(): void {
    const now = monotonicMs();
    const silentMs = now - this.#heardAt;
    if (this.#heartbeatMs > 0 && silentMs > 2 * this.#heartbeatMs + SILENCE_GRACE_MS)
      this.#finish('broken');
    else if (now >= this.#deadline) this.#finish('broken');
  }

  #finish(end: PullEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    clearInterval(this.#timer);
    this.#forgetStatus();
    // Draining tells the server first and hears what it had sent until then: nothing is lost unseen.
    const mayComeYet = end === 'stopped' || end === 'broken';
    if (mayComeYet && this.#mesh.isConnected)
      void this.#subscription.drain().catch(() => undefined);
    else this.#subscription.unsubscribe();
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
