import { connect, type NatsConnection } from '@nats-io/transport-node';
import { connectionOptions } from './connect-mesh.ts';
import { type MeshAddress, shownUrl } from './mesh-connection.ts';
import { MeshAnswerError, MeshSilentError } from './mesh-errors.ts';
import { asking } from './port-error.ts';
import type { ServerTrust } from './server-guard.ts';

const CONNECT_MS = 5_000;
const ANSWER_MS = 5_000;
const CLAIMS_UPDATE = '$SYS.REQ.CLAIMS.UPDATE';

/** What a server answers to new claims, see `AccountResolver` in nats-server. */
interface ClaimsAnswer {
  readonly data?: { readonly code?: number };
  readonly error?: { readonly description?: string };
}

/**
 * Tells all servers what the authority has decided: from then on the new permissions hold, and whoever was revoked is
 * cut off within a second and never let in again. `address`: of a member with the role `system`. Resolves when
 * the server that we are connected with has it on disk; it gives it to the others, and to those that are away when
 * they are back. Throws a `PortError`.
 */
export async function pushTrust(address: MeshAddress, trust: ServerTrust): Promise<void> {
  const nc = await asking(`connect to ${shownUrl(address)} to tell who is trusted`, () =>
    connect({
      ...connectionOptions(address, 'podmesh-authority'),
      timeout: CONNECT_MS,
      reconnect: false,
    }),
  );
  try {
    for (const token of Object.values(trust.accounts)) await push(nc, token);
  } finally {
    await nc.close();
  }
}

async function push(nc: NatsConnection, token: string): Promise<void> {
  const what = 'tell the servers who is trusted';
  const answer = await asking(what, () => nc.request(CLAIMS_UPDATE, token, { timeout: ANSWER_MS }));
  const { data, error } = answer.json<ClaimsAnswer>();
  if (error !== undefined)
    throw new MeshAnswerError(what, { code: 0, description: error.description ?? 'refused' });
  if (data?.code !== 200) throw new MeshSilentError(what);
}
