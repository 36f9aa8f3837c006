import type { Claimed, DriveQueue, RunId } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { pullFrom } from './fake-claim.ts';
import type { QueueServer } from './queue-server.ts';

/** All drives share one consumer. */
export const DRIVE_PARTITION = 'all';

/** The work queue of drives as one process sees it. */
export class FakeDriveQueue implements DriveQueue {
  private readonly process: FakeProcess;
  private readonly server: QueueServer<RunId>;

  constructor(process: FakeProcess, server: QueueServer<RunId>) {
    this.process = process;
    this.server = server;
  }

  publish(run: RunId): Promise<void> {
    return this.process.call(`drives.publish ${run}`, () => {
      this.server.publish(run);
    });
  }

  pull(limit: number, waitMs: number, signal: AbortSignal): AsyncGenerator<Claimed<RunId>> {
    const request = { partition: DRIVE_PARTITION, limit, waitMs, signal };
    return pullFrom(this.process, this.server, request);
  }

  waiting(): Promise<ReadonlySet<RunId>> {
    return this.process.call(
      'drives.waiting',
      () => new Set(this.server.all().map((message) => message.value)),
    );
  }
}
