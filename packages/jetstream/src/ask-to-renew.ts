import { nuid } from '@nats-io/transport-node';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import {
  inboxSubject,
  RENEW_SUBJECTS,
  renewSubject,
  USER_RENEW_SUBJECTS,
  userRenewSubject,
} from './subjects.ts';

const ANSWER_MS = 20_000;
/** Members that wait: the desk answers one after the other. */
const WAITING_MAX = 1_000;

/** Who asks, as the server lets nobody say who is not: a person, or a machine, which gets more. */
export interface RenewalAsker {
  readonly kind: 'user' | 'machine';
  readonly name: string;
}

/** Asks, as the member of this connection, for what members have. Throws a `PortError` where nobody answers. */
export async function askToRenew(
  mesh: MeshConnection,
  kind: RenewalAsker['kind'],
  request: Uint8Array,
): Promise<Uint8Array> {
  return asking('ask for what members have', async () => {
    const { member } = mesh;
    if (member === undefined) throw new Error('a mesh without roles has nothing to renew');
    const options = { timeoutMs: ANSWER_MS, reply: inboxSubject(member, nuid.next(), 1) };
    const subject = kind === 'user' ? userRenewSubject(member) : renewSubject(member);
    return (await mesh.request(subject, request, options)).data;
  });
}

/** Answers those who ask, one after the other, until the signal aborts; who asks is what the server says. `answer` must not throw. */
export async function answerRenewals(
  mesh: MeshConnection,
  answer: (asker: RenewalAsker, request: Uint8Array) => Promise<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();
  const hear = (subject: string, kind: RenewalAsker['kind']) =>
    mesh.nc.subscribe(subject, {
      queue: 'desk',
      callback: (error, message) => {
        if (error !== null || waiting >= WAITING_MAX || message.data.length === 0) return;
        const name = message.subject.slice(message.subject.lastIndexOf('.') + 1);
        waiting += 1;
        last = last
          .then(async () => void message.respond(await answer({ kind, name }, message.data)))
          .catch(() => undefined)
          .finally(() => {
            waiting -= 1;
          });
      },
    });
  const subscriptions = [hear(RENEW_SUBJECTS, 'machine'), hear(USER_RENEW_SUBJECTS, 'user')];
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  for (const subscription of subscriptions) subscription.unsubscribe();
  await last;
}
