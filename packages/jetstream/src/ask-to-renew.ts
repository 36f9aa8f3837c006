import { nuid } from '@nats-io/transport-node';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { inboxSubject, RENEW_SUBJECTS, renewSubject } from './subjects.ts';

const ANSWER_MS = 20_000;
/** Members that wait: the desk answers one after the other. */
const WAITING_MAX = 1_000;

/** Asks, as the member of this connection, for what members have. Throws a `PortError` where nobody answers. */
export async function askToRenew(mesh: MeshConnection, request: Uint8Array): Promise<Uint8Array> {
  return asking('ask for what members have', async () => {
    const { member } = mesh;
    if (member === undefined) throw new Error('a mesh without roles has nothing to renew');
    const options = { timeoutMs: ANSWER_MS, reply: inboxSubject(member, nuid.next(), 1) };
    return (await mesh.request(renewSubject(member), request, options)).data;
  });
}

/** Answers those who ask, one after the other, until the signal aborts; who asks is what the server says. `answer` must not throw. */
export async function answerRenewals(
  mesh: MeshConnection,
  answer: (member: string, request: Uint8Array) => Promise<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();
  const subscription = mesh.nc.subscribe(RENEW_SUBJECTS, {
    queue: 'desk',
    callback: (error, message) => {
      if (error !== null || waiting >= WAITING_MAX || message.data.length === 0) return;
      const member = message.subject.slice(message.subject.lastIndexOf('.') + 1);
      waiting += 1;
      last = last
        .then(async () => void message.respond(await answer(member, message.data)))
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
