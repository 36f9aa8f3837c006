import type { StoredMsg } from '@nats-io/jetstream';
import type {
  Logged,
  Result,
  RunEnded,
  RunEvent,
  RunId,
  RunLog,
  RunPublished,
  RunSummary,
  Sequence,
  StaleAppend,
  TaskEvent,
  TaskId,
} from '@podmesh/core';
import { coreSubscription } from './core-subscription.ts';
import { GroupAppender, type GroupAppenderOptions } from './group-appender.ts';
import { decodeJson, encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { ReleaseRequests } from './release-requests.ts';
import { readStream, type StreamMessage } from './stream-reader.ts';
import {
  ALL_CONTROLS,
  ALL_ENDS,
  ALL_GRAPHS,
  CANCELLED_HINTS,
  controlSubject,
  endSubject,
  eventSubject,
  RUN_STREAM,
  runOfSubject,
  runSubjects,
  taskSubject,
} from './subjects.ts';

/** What the list of runs needs of a `run-published`, so that it does not have to read whole graphs. */
type PublishedSummary = Pick<RunPublished, 'name' | 'taskCount' | 'publisher'>;
const SUMMARY_HEADER = 'Podmesh-Summary';

/** The run log on one stream; appends are grouped per connection, see {@link GroupAppender}. */
export class JetStreamRunLog implements RunLog {
  readonly #mesh: MeshConnection;
  readonly #appender: GroupAppender;
  readonly #releases: ReleaseRequests;

  constructor(mesh: MeshConnection, options: GroupAppenderOptions = {}) {
    this.#mesh = mesh;
    this.#appender = new GroupAppender(mesh, RUN_STREAM, options);
    this.#releases = new ReleaseRequests(mesh);
  }

  append(event: RunEvent, expected: Sequence): Promise<Result<Sequence, StaleAppend>> {
    if (event.kind === 'task-released' && this.#mesh.address.member?.role === 'user')
      return this.#releases.ask(event, expected);
    return this.#appender.append({
      subject: eventSubject(event),
      payload: encodeJson(event),
      expected,
      ...(event.kind === 'run-published'
        ? { headers: { [SUMMARY_HEADER]: encodeSummary(event) } }
        : {}),
    });
  }

  async lastOfTask(run: RunId, task: TaskId): Promise<Logged<TaskEvent> | undefined> {
    const last = await this.#last(taskSubject(run, task));
    if (last === undefined) return undefined;
    const event = decodeJson<TaskEvent>(last.data, `${RUN_STREAM} ${last.seq}`);
    return { event, sequence: last.seq, at: last.timestamp };
  }

  async *read(run: RunId, signal?: AbortSignal): AsyncGenerator<readonly Logged[]> {
    const options = { stream: RUN_STREAM, filters: [runSubjects(run)], after: 0 };
    for await (const batch of readStream(this.#mesh, { ...options, until: 'end' }, signal))
      yield batch.map(logged);
  }

  async *follow(
    run: RunId,
    after: Sequence,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Logged[]> {
    const options = { stream: RUN_STREAM, filters: [runSubjects(run)], after };
    for await (const batch of readStream(this.#mesh, { ...options, until: 'signal' }, signal))
      yield batch.map(logged);
  }

  async runs(): Promise<readonly RunSummary[]> {
    const [graphs, marks] = await Promise.all([
      this.#newest([ALL_GRAPHS], true),
      this.#newest([ALL_CONTROLS, ALL_ENDS], false),
    ]);
    const cancelled = new Set<RunId>();
    const ended = new Map<RunId, { event: RunEnded; at: string }>();
    for (const { event, at } of marks.flatMap(readable)) {
      if (event.kind === 'run-cancel-requested') cancelled.add(event.run);
      if (event.kind === 'run-ended') ended.set(event.run, { event, at });
    }
    return graphs.flatMap(({ message, delivery }) => {
      const summary = decodeSummary(message.headers?.get(SUMMARY_HEADER));
      if (summary === undefined) return [];
      const run = runOfSubject(message.subject);
      const end = ended.get(run);
      const cancelRequested = cancelled.has(run);
      return {
        run,
        ...summary,
        publishedAt: delivery.at,
        cancelRequested,
        ...(end === undefined ? {} : { ended: end }),
      };
    });
  }

  async *cancellations(signal: AbortSignal): AsyncGenerator<RunId> {
    for await (const { subject } of coreSubscription(this.#mesh, CANCELLED_HINTS, signal))
      if (subject !== undefined) yield runOfSubject(subject);
  }

  async isOver(run: RunId): Promise<boolean> {
    const marks = [controlSubject(run), endSubject(run)];
    const [control, end] = await Promise.all(marks.map((subject) => this.#last(subject)));
    if (control !== undefined) return true;
    if (end === undefined) return false;
    // Losses stand there too, and after them the run goes on.
    return decodeJson<RunEvent>(end.data, `${RUN_STREAM} ${end.seq}`).kind === 'run-ended';
  }

  /** Read by the stream's leader: a replica might not know the newest yet. */
  async #last(subject: string): Promise<StoredMsg | undefined> {
    const query = { last_by_subj: subject };
    const last = await asking(`read ${subject}`, () =>
      this.#mesh.jsm.streams.getMessage(RUN_STREAM, query),
    );
    return last ?? undefined;
  }

  /** The newest message of each subject, oldest first. */
  async #newest(filters: readonly string[], headersOnly: boolean): Promise<StreamMessage[]> {
    const options = { stream: RUN_STREAM, filters, after: 0, lastPerSubject: true, headersOnly };
    const newest = new Map<string, StreamMessage>();
    for await (const batch of readStream(this.#mesh, { ...options, until: 'end' }))
      for (const item of batch) newest.set(item.message.subject, item);
    return [...newest.values()];
  }
}

function logged({ message, delivery }: StreamMessage): Logged {
  const event = decodeJson<RunEvent>(message.data, `${RUN_STREAM} ${delivery.streamSequence}`);
  return { event, sequence: delivery.streamSequence, at: delivery.at };
}

/** One mark that nobody can read must not hide all runs. */
function readable(message: StreamMessage): readonly Logged[] {
  try {
    return [logged(message)];
  } catch {
    return [];
  }
}

/** Base64, because headers are plain ASCII and names are not. */
function encodeSummary({ name, taskCount, publisher }: RunPublished): string {
  const summary = { taskCount, publisher, ...(name === undefined ? {} : { name }) };
  return Buffer.from(encodeJson(summary)).toString('base64');
}

function decodeSummary(text: string | undefined): PublishedSummary | undefined {
  if (text === undefined || text === '') return undefined;
  return decodeJson<PublishedSummary>(Buffer.from(text, 'base64'), `header ${SUMMARY_HEADER}`);
}
