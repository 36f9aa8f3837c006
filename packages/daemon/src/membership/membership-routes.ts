import { INVITED_ROLES, isServerAddress, LIFE_MS_MAX, USES_MAX } from '@podmesh/authority';
import { ApiRefusal } from '../local-api-request.ts';
import type { MembershipOffice, WishToInvite } from './membership-office.ts';

type Route = (body: unknown, signal: AbortSignal) => Promise<object>;

/** What the owner of this machine may do about the mesh, where its keys are; elsewhere it is told where they are not. */
export function membershipRoutes(
  office: () => MembershipOffice | undefined,
): ReadonlyMap<string, Readonly<Record<string, Route>>> {
  const here = (): MembershipOffice => {
    const open = office();
    if (open !== undefined) return open;
    throw new ApiRefusal(
      409,
      'this machine does not hold the keys of the mesh',
      'Do it on the machine that made the mesh, or where its owner copied PODMESH_HOME/authority to.',
    );
  };
  return new Map<string, Readonly<Record<string, Route>>>([
    [
      '/v1/invitations',
      {
        GET: async () => ({ invitations: await here().listInvitations() }),
        POST: async (body) => here().invite(parseWish(body)),
      },
    ],
    ['/v1/revoke', { POST: async (body) => here().revoke(parseName(body)) }],
  ]);
}

/** `{role, lifeMs, usesMax, name?, servers?}` */
function parseWish(body: unknown): WishToInvite {
  const said = objectOf(body);
  const role = INVITED_ROLES.find((one) => one === said.role);
  if (role === undefined) throw wrong(`"role" is none of ${INVITED_ROLES.join(', ')}`);
  const lifeMs = wholeNumber(said, 'lifeMs', LIFE_MS_MAX);
  const usesMax = wholeNumber(said, 'usesMax', USES_MAX);
  const { name, servers } = said;
  if (name !== undefined && typeof name !== 'string') throw wrong('"name" is no text');
  if (servers === undefined)
    return { role, lifeMs, usesMax, ...(name === undefined ? {} : { name }) };
  if (!Array.isArray(servers) || servers.length === 0 || !servers.every(isPlace))
    throw wrong('"servers" are no addresses with ports');
  return { role, lifeMs, usesMax, servers, ...(name === undefined ? {} : { name }) };
}

const isPlace = (value: unknown): value is string =>
  typeof value === 'string' && isServerAddress(value);

function parseName(body: unknown): string {
  const { name } = objectOf(body);
  if (typeof name === 'string') return name;
  throw wrong('"name" is missing');
}

function wholeNumber(said: Record<string, unknown>, name: string, max: number): number {
  const value = said[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= max)
    return value;
  throw wrong(`"${name}" is no whole number from 1 to ${max}`);
}

function objectOf(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null) return body as Record<string, unknown>;
  throw wrong('the body is no JSON object');
}

function wrong(message: string): ApiRefusal {
  return new ApiRefusal(400, message, 'Use the podmesh of the same version as the daemon.');
}
