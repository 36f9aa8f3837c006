import type { LaneDirectory, LaneId, Requirements } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { feed } from '../process/feed.ts';
import { Topic } from '../process/topic.ts';

/** The lanes bucket. */
export class LaneServer {
  readonly changed = new Topic();
  private readonly lanes = new Map<LaneId, Requirements>();
  /** Grows with every change. */
  revision = 0;

  has(lane: LaneId): boolean {
    return this.lanes.has(lane);
  }

  open(lane: LaneId, requirements: Requirements): void {
    if (this.lanes.has(lane)) return;
    this.lanes.set(lane, requirements);
    this.revision += 1;
    this.changed.notify();
  }

  list(): ReadonlyMap<LaneId, Requirements> {
    return new Map(this.lanes);
  }
}

/** The lanes as one process sees them. */
export class FakeLaneDirectory implements LaneDirectory {
  private readonly process: FakeProcess;
  private readonly server: LaneServer;

  constructor(process: FakeProcess, server: LaneServer) {
    this.process = process;
    this.server = server;
  }

  open(lane: LaneId, requirements: Requirements): Promise<void> {
    return this.process.call(`lanes.open ${lane}`, () => this.server.open(lane, requirements));
  }

  list(): Promise<ReadonlyMap<LaneId, Requirements>> {
    return this.process.call('lanes.list', () => this.server.list());
  }

  async *changes(signal: AbortSignal): AsyncGenerator<void> {
    let seen = this.server.revision;
    const next = () => {
      if (this.server.revision === seen) return undefined;
      seen = this.server.revision;
      return seen;
    };
    const source = { label: 'lanes.changes', topic: this.server.changed, next, lossy: true };
    for await (const _revision of feed(this.process, source, signal)) yield;
  }
}
