import { connect, credsAuthenticator, nuid } from '@nats-io/transport-node';
import { PortError } from '@podmesh/core';
import { plainOptions } from './connect-mesh.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { portError } from './port-error.ts';
import { inboxSubject, JOIN_SUBJECTS, joinSubject } from './subjects.ts';

/** As who a machine asks that is no member yet. */
const JOINER = 'joiner';
const CONNECT_MS = 10_000;
const ANSWER_MS = 20_000;
/** Requests that wait for the desk: it answers one after the other. */
const WAITING_MAX = 64;

export interface JoinQuestion {
  /** `host:port` of a server that is known to be of the mesh. */
  readonly server: string;
  /** PEM of the mesh's authority. */
  readonly ca: string;
  /** Text of a `.creds` file that lets its holder ask and nothing else. */
  readonly credentials: string;
  readonly request: Uint8Array;
}

/** Nobody answers: the machine with the keys of the mesh is off, or the credentials are of an older mesh. */
export class NoJoinAnswerError extends PortError {
  readonly kind: 'refused' | 'nobody';

  constructor(kind: 'refused' | 'nobody', message: string, cause?: unknown) {
    super(message, { retryable: kind === 'nobody', cause });
    this.name = 'NoJoinAnswerError';
    this.kind = kind;
  }
}

/** Asks to be let in, over a connection for just that. Throws `NoJoinAnswerError`. */
export async function askToJoin({
  server,
  ca,
  credentials,
  request,
}: JoinQuestion): Promise<Uint8Array> {
  const address = {
    servers: [server],
    tls: true,
    certificates: { ca },
    member: { name: JOINER, role: 'user' as const, credentials },
  };
  const nc = await connect({
    ...plainOptions(address, 'podmesh-join'),
    authenticator: credsAuthenticator(new TextEncoder().encode(credentials)),
    reconnect: false,
    waitOnFirstConnect: false,
    timeout: CONNECT_MS,
  }).catch((error: unknown) => {
    throw new NoJoinAnswerError('refused', `the server at ${server} lets nobody ask`, error);
  });
  try {
    const reply = inboxSubject(JOINER, nuid.next(), 1);
    const options = { timeout: ANSWER_MS, reply, noMux: true };
    return (await nc.request(joinSubject(JOINER), request, options)).data;
  } catch (error) {
    const why = 'the machine that holds the keys of the mesh does not answer';
    throw new NoJoinAnswerError('nobody', why, portError('ask to join', error));
  } finally {
    await nc.close();
  }
}

/** Answers those who ask, one after the other, until the signal aborts. `answer` must not throw. */
export async function answerJoins(
  mesh: MeshConnection,
  answer: (request: Uint8Array) => Promise<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();
  const subscription = mesh.nc.subscribe(JOIN_SUBJECTS, {
    // One desk answers, also where two machines have the keys.
    queue: 'desk',
    callback: (error, message) => {
      if (error !== null || waiting >= WAITING_MAX || message.data.length === 0) return;
      waiting += 1;
      const turn = async (): Promise<void> => {
        const bytes = await answer(message.data);
        message.respond(bytes);
      };
      last = last
        .then(turn)
        .catch(() => undefined)
        .finally(() => {
          waiting -= 1;
        });
    },
  });
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  subscription.unsubscribe();
  await last;
}
