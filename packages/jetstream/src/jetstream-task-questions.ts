import { headers, type Msg } from '@nats-io/transport-node';
import type { AskingAttempt, TaskQuestion, TaskQuestions, TaskReply } from '@podmesh/core';
import type { MeshConnection } from './mesh-connection.ts';
import { onAbort } from './on-abort.ts';
import { parseTaskApiSubject, taskApiSubject, taskApiSubjects, taskInbox } from './subjects.ts';

/** Says how it went, as over HTTP. */
const STATUS_HEADER = 'Podmesh-Status';
/** What clients of NATS' own services look for (ADR-32). */
const ERROR_HEADER = 'Nats-Service-Error';
const ERROR_CODE_HEADER = 'Nats-Service-Error-Code';

/** Questions of tasks as requests over core NATS: whoever gets no answer asks again. */
export class JetStreamTaskQuestions implements TaskQuestions {
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  placesOf(attempt: AskingAttempt): { subject: string; inbox: string } {
    return { subject: taskApiSubject(attempt), inbox: taskInbox(attempt) };
  }

  answer(
    attempt: AskingAttempt,
    answer: (question: TaskQuestion) => Promise<TaskReply>,
    signal: AbortSignal,
  ): void {
    if (signal.aborted || this.#mesh.isClosed) return;
    // The server does not look where an answer is wanted: in our name it could be written into a stream.
    const own = `${taskInbox(attempt)}.`;
    const take = async (message: Msg): Promise<void> => {
      const { subject, reply } = message;
      const asked = parseTaskApiSubject(subject);
      if (reply === undefined || !reply.startsWith(own) || asked === undefined) return;
      const given = await answer({ ...asked, ...contentOf(asked.method, message) });
      if (!signal.aborted) this.#send(reply, given);
    };
    const subscription = this.#mesh.nc.subscribe(taskApiSubjects(attempt), {
      callback: (error, message) => {
        if (error === null) void take(message);
      },
    });
    onAbort(signal, () => {
      if (!this.#mesh.isClosed) subscription.unsubscribe();
    });
  }

  #send(reply: string, { status, headers: given, error, body }: TaskReply): void {
    if (!this.#mesh.isConnected || this.#mesh.isClosed) return;
    const head = headers();
    head.set(STATUS_HEADER, String(status));
    for (const [name, value] of Object.entries(given)) head.set(name, value);
    if (error !== undefined) {
      head.set(ERROR_HEADER, error);
      head.set(ERROR_CODE_HEADER, String(status));
    }
    this.#mesh.nc.publish(reply, body, { headers: head });
  }
}

/** What has no body over HTTP has its query there; a query of others has no place, and no meaning. */
function contentOf(
  method: string,
  { data, headers: head }: Msg,
): Omit<TaskQuestion, 'method' | 'path'> {
  const range = head?.get('Range') || undefined;
  const said = range === undefined ? {} : { range };
  if (method !== 'GET' && method !== 'DELETE') return { ...said, query: '', body: data };
  return { ...said, query: new TextDecoder().decode(data), body: new Uint8Array() };
}
