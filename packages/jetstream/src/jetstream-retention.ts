import { JetStreamApiError } from '@nats-io/jetstream';
import type { FinishedRun, RecordedResult, Retention, RunId } from '@podmesh/core';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { serverTimeMs } from './server-time.ts';
import { readStream } from './stream-reader.ts';
import {
  ALL_ENDS,
  ALL_GRAPHS,
  actionOfSubject,
  bucketSubjects,
  endSubject,
  RESULT_BUCKET,
  RESULT_STREAM,
  RUN_STREAM,
  runLogSubjects,
  runOfSubject,
} from './subjects.ts';

const END = '"kind":"run-ended"';
const DELETED = 'KV-Operation';

/** What is forgotten, straight from the streams. */
export class JetStreamRetention implements Retention {
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  async nowMs(): Promise<number> {
    return serverTimeMs(
      await asking('ask the server for its time', () => this.#mesh.jsm.streams.info(RUN_STREAM)),
    );
  }

  async finishedRuns(): Promise<readonly FinishedRun[]> {
    const logs = new Set<RunId>();
    const read = { stream: RUN_STREAM, after: 0, until: 'end' as const, lastPerSubject: true };
    const graphs = { ...read, filters: [ALL_GRAPHS], headersOnly: true };
    for await (const batch of readStream(this.#mesh, graphs))
      for (const { message } of batch) logs.add(runOfSubject(message.subject));
    const ended = new Map<RunId, number>();
    for await (const batch of readStream(this.#mesh, { ...read, filters: [ALL_ENDS] })) {
      for (const { message, delivery } of batch) {
        const run = runOfSubject(message.subject);
        // Losses stand there too, and after them the run goes on.
        if (Buffer.from(message.data).includes(END)) ended.set(run, Date.parse(delivery.at));
        else ended.delete(run);
      }
    }
    return [...ended].map(([run, endedAtMs]) => ({ run, endedAtMs, hasLog: logs.has(run) }));
  }

  async purgeLog(run: RunId): Promise<void> {
    for (const filter of runLogSubjects(run))
      await asking(`purge ${filter}`, () => this.#mesh.jsm.streams.purge(RUN_STREAM, { filter }));
  }

  async forgetRun(run: RunId): Promise<void> {
    await this.purgeLog(run);
    const filter = endSubject(run);
    await asking(`purge ${filter}`, () => this.#mesh.jsm.streams.purge(RUN_STREAM, { filter }));
  }

  async *results(signal: AbortSignal): AsyncGenerator<readonly RecordedResult[]> {
    const filters = [bucketSubjects(RESULT_BUCKET)];
    const options = { stream: RESULT_STREAM, filters, after: 0, until: 'end' as const };
    for await (const batch of readStream(this.#mesh, { ...options, headersOnly: true }, signal))
      yield batch.map(({ message, delivery }) => ({
        action: actionOfSubject(message.subject),
        sequence: delivery.streamSequence,
        // What was deleted only has to go.
        recordedAtMs: (message.headers?.get(DELETED) ?? '') === '' ? Date.parse(delivery.at) : 0,
      }));
    signal.throwIfAborted();
  }

  async forgetResult({ action, sequence }: RecordedResult): Promise<void> {
    await asking(`forget result ${action}`, async () => {
      try {
        await this.#mesh.jsm.streams.deleteMessage(RESULT_STREAM, sequence, false);
      } catch (error) {
        // Recorded anew, or forgotten by somebody else.
        if (!(error instanceof JetStreamApiError)) throw error;
      }
    });
  }
}
