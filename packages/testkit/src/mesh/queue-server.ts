import { LEASE_MS, type Sequence } from '@podmesh/core';
import type { Random } from '../random.ts';
import type { Cancel, Scheduler } from '../time/scheduler.ts';

/** A message as it goes out to a puller. */
export interface QueueMessage<T> {
  readonly sequence: Sequence;
  readonly value: T;
}

/** An open pull of one process. */
export interface QueuePull<T> {
  readonly partition: string;
  /** Messages still wanted. */
  wanted: number;
  /** The server forgets the pull then. */
  expiresMs: number;
  readonly deliver: (message: QueueMessage<T>) => void;
}

interface Stored<T> extends QueueMessage<T> {
  readonly partition: string;
  readonly group: string;
  /** Set while somebody holds it. */
  lease: Cancel | undefined;
}

/** How the values of a queue are ordered into consumers and found again. */
export interface QueueKeys<T> {
  /** One durable consumer each. */
  readonly partitionOf: (value: T) => string;
  /** What `discard` and `waiting` ask for. */
  readonly groupOf: (value: T) => string;
}

/**
 * A JetStream work queue as measured (NATS.md §3): redelivery of the same stream sequence when the ack
 * wait ends, before newer messages; acks, naks and extensions by stream sequence, whoever sends them.
 */
export class QueueServer<T> {
  readonly name: string;
  private readonly scheduler: Scheduler;
  private readonly keys: QueueKeys<T>;
  private readonly messages = new Map<Sequence, Stored<T>>();
  private readonly groups = new Map<string, Set<Sequence>>();
  private readonly fresh = new Map<string, Set<Sequence>>();
  private readonly again = new Map<string, Set<Sequence>>();
  private readonly pulls = new Map<string, Set<QueuePull<T>>>();
  private lastSequence = 0;
  /** Deliveries so far, redeliveries counted. */
  deliveryCount = 0;

  constructor(name: string, scheduler: Scheduler, keys: QueueKeys<T>) {
    this.name = name;
    this.scheduler = scheduler;
    this.keys = keys;
  }

  /** Everything in the queue, waiting or claimed. */
  all(): readonly QueueMessage<T>[] {
    return [...this.messages.values()];
  }

  publish(value: T): Sequence {
    this.lastSequence += 1;
    const sequence = this.lastSequence;
    const partition = this.keys.partitionOf(value);
    const group = this.keys.groupOf(value);
    this.messages.set(sequence, { sequence, value, partition, group, lease: undefined });
    setIn(this.groups, group).add(sequence);
    setIn(this.fresh, partition).add(sequence);
    this.dispatch(partition);
    return sequence;
  }

  pull(pull: QueuePull<T>, waitMs: number): void {
    pull.expiresMs = this.scheduler.nowMs() + waitMs;
    setIn(this.pulls, pull.partition).add(pull);
    this.dispatch(pull.partition);
  }

  /** The connection closed, or the puller does not want any more. */
  cancelPull(pull: QueuePull<T>): void {
    this.pulls.get(pull.partition)?.delete(pull);
  }

  /** Not fenced: deletes the message, whoever holds it now. */
  ack(sequence: Sequence): void {
    this.remove(sequence);
  }

  /** Not fenced either. With a delay the message stays pending, so that a later extension overrides it. */
  nak(sequence: Sequence, delayMs: number): void {
    const message = this.messages.get(sequence);
    if (message?.lease === undefined) return;
    if (delayMs > 0) this.hold(message, delayMs);
    else this.release(message);
  }

  /** `working()`: the ack wait begins anew, if the message is pending at all. */
  extend(sequence: Sequence): void {
    const message = this.messages.get(sequence);
    if (message?.lease !== undefined) this.hold(message, LEASE_MS);
  }

  groupMembers(group: string): readonly T[] {
    const sequences = [...(this.groups.get(group) ?? [])];
    return sequences.flatMap((sequence) => this.messages.get(sequence)?.value ?? []);
  }

  discard(group: string): void {
    for (const sequence of [...(this.groups.get(group) ?? [])]) this.remove(sequence);
  }

  /** A restarted server forgot who holds what: everything in flight is delivered again at once. */
  restart(): void {
    this.pulls.clear();
    for (const message of this.messages.values()) {
      if (message.lease !== undefined) this.release(message);
    }
  }

  /** Loses a share of the messages, claimed or not; how many. */
  lose(share: number, random: Random): number {
    const lost = [...this.messages.keys()].filter(() => random.chance(share));
    for (const sequence of lost) this.remove(sequence);
    return lost.length;
  }

  /** Publishes a share of the messages once more; how many. */
  duplicate(share: number, random: Random): number {
    const twice = [...this.messages.values()].filter(() => random.chance(share));
    for (const message of twice) this.publish(message.value);
    return twice.length;
  }

  private dispatch(partition: string): void {
    const pulls = this.pulls.get(partition);
    if (pulls === undefined) return;
    for (const pull of pulls) {
      if (pull.expiresMs <= this.scheduler.nowMs()) pulls.delete(pull);
      while (pull.wanted > 0 && pulls.has(pull)) {
        const message = this.takeReady(partition);
        if (message === undefined) return;
        this.hold(message, LEASE_MS);
        pull.wanted -= 1;
        this.deliveryCount += 1;
        pull.deliver({ sequence: message.sequence, value: message.value });
      }
      pulls.delete(pull);
    }
  }

  private takeReady(partition: string): Stored<T> | undefined {
    for (const ready of [this.again.get(partition), this.fresh.get(partition)]) {
      for (const sequence of ready ?? []) {
        ready?.delete(sequence);
        return this.messages.get(sequence);
      }
    }
    return undefined;
  }

  private hold(message: Stored<T>, ms: number): void {
    message.lease?.();
    message.lease = this.scheduler.after(ms, () => this.release(message));
  }

  private release(message: Stored<T>): void {
    message.lease?.();
    message.lease = undefined;
    setIn(this.again, message.partition).add(message.sequence);
    this.dispatch(message.partition);
  }

  private remove(sequence: Sequence): void {
    const message = this.messages.get(sequence);
    if (message === undefined) return;
    message.lease?.();
    this.messages.delete(sequence);
    this.fresh.get(message.partition)?.delete(sequence);
    this.again.get(message.partition)?.delete(sequence);
    const group = this.groups.get(message.group);
    group?.delete(sequence);
    if (group?.size === 0) this.groups.delete(message.group);
  }
}

function setIn<V>(sets: Map<string, Set<V>>, key: string): Set<V> {
  const known = sets.get(key);
  if (known !== undefined) return known;
  const created = new Set<V>();
  sets.set(key, created);
  return created;
}
