import { JetStreamApiError } from '@nats-io/jetstream';
import type { Claimed, DriveQueue, RunId } from '@podmesh/core';
import { ClaimQueue, queuedSubjects } from './claim-queue.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import {
  DRIVE_CONSUMER,
  DRIVE_STREAM,
  DRIVE_SUBJECTS,
  driveSubject,
  runOfSubject,
} from './subjects.ts';

export interface DriveQueueOptions {
  /** Overrides `LEASE_MS`; tests shorten it. */
  readonly leaseMs?: number;
}

/** The stream holds one message per subject and refuses another with this code. */
const SUBJECT_FULL = 10077;

/** Drives on one work-queue stream that keeps at most one per run. */
export class JetStreamDriveQueue implements DriveQueue {
  readonly #mesh: MeshConnection;
  readonly #queue: ClaimQueue<RunId>;

  constructor(mesh: MeshConnection, options: DriveQueueOptions = {}) {
    this.#mesh = mesh;
    this.#queue = new ClaimQueue(mesh, {
      stream: DRIVE_STREAM,
      consumer: DRIVE_CONSUMER,
      filter: DRIVE_SUBJECTS,
      parse: ({ subject }) => runOfSubject(subject),
      ...options,
    });
  }

  /** A drive that is there already, waiting or claimed, is as good as a new one. */
  async publish(run: RunId): Promise<void> {
    await asking(`publish drive of ${run}`, async () => {
      try {
        await this.#mesh.js.publish(driveSubject(run));
      } catch (error) {
        if (!(error instanceof JetStreamApiError && error.code === SUBJECT_FULL)) throw error;
      }
    });
  }

  pull(
    limit: number,
    waitMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<Claimed<RunId>, void, undefined> {
    return this.#queue.pull(limit, waitMs, signal);
  }

  async waiting(): Promise<ReadonlySet<RunId>> {
    const subjects = await queuedSubjects(this.#mesh, DRIVE_STREAM, DRIVE_SUBJECTS);
    return new Set(subjects.map(runOfSubject));
  }
}
