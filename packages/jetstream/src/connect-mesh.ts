import {
  type Authenticator,
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  errors,
  type NatsConnection,
} from '@nats-io/transport-node';
import { type MeshAddress, MeshConnection, monotonicMs, shownUrl } from './mesh-connection.ts';
import {
  JetStreamDisabledError,
  MeshRefusedError,
  MeshStandsStillError,
  MeshUnreachableError,
  ServerTooOldError,
} from './mesh-errors.ts';
import { nearestFirst } from './nearest-first.ts';
import { pause } from './pause.ts';
import { inboxPrefix } from './subjects.ts';

export interface ConnectMeshOptions {
  /**
   * `nats://[token@|user:pass@]host:port`, several separated by commas; `tls://` for TLS. An address where a
   * member proves who it is.
   */
  readonly url: string | MeshAddress;
  /** Shown in the server's monitoring: who this is. */
  readonly name: string;
  /**
   * How long to try before `MeshUnreachableError`. While a server speaks and only is slow to let us in, as on an old
   * machine that is busy, half a minute is added.
   */
  readonly timeoutMs?: number;
}

/** What a server of a mesh with its own authority is called in its certificate, whatever its addresses are today. */
export const SERVER_NAME = 'server.podmesh';
/** Atomic batches with per-message expectations came with this one (NATS.md §2.4). */
export const SERVER_VERSION_MIN = '2.12.0';
const CONNECT_MS = 5_000;
const SLOW_MS = 30_000;
/** Servers of a cluster that elect a leader are no standstill (NATS.md §0.6: 4 to 9 s). */
const ELECTION_MS = 15_000;
/** A server on this machine that just starts answers within a few of these. */
const DIAL_AGAIN_MS = 50;

/**
 * Connects, checks that the server can carry a mesh, and from then on reconnects for ever.
 * Throws `MeshUnreachableError`, `MeshRefusedError`, `ServerTooOldError` or `JetStreamDisabledError`.
 */
export async function connectMesh(options: ConnectMeshOptions): Promise<MeshConnection> {
  const { url } = options;
  const address = typeof url === 'string' ? parseMeshUrl(url) : url;
  const deadline = monotonicMs() + (options.timeoutMs ?? CONNECT_MS);
  const nc = await dial(address, options.name, deadline);
  try {
    const version = nc.info?.version ?? '0';
    if (!isAtLeast(version, SERVER_VERSION_MIN))
      throw new ServerTooOldError(shownUrl(address), version, SERVER_VERSION_MIN);
    const mesh = await MeshConnection.over(nc, address);
    const patienceMs = nc.info?.cluster === undefined ? CONNECT_MS : ELECTION_MS;
    await checkJetStream(mesh, Math.max(deadline, monotonicMs() + patienceMs));
    return mesh;
  } catch (error) {
    await nc.close();
    throw error;
  }
}

/** One more connection to a mesh that was checked before; from then on it reconnects for ever. */
export async function dialMesh(
  address: MeshAddress,
  name: string,
  timeoutMs = CONNECT_MS,
): Promise<MeshConnection> {
  return MeshConnection.over(await dial(address, name, monotonicMs() + timeoutMs), address);
}

/** Splits addresses from credentials. Throws a `TypeError` for what is no such address. */
export function parseMeshUrl(url: string): MeshAddress {
  const parts = url.split(',').map((part) => parseOne(part.trim()));
  const [first] = parts;
  if (first === undefined) throw new TypeError('an empty mesh address');
  const secret = parts.find((part) => part.username !== '') ?? first;
  const user = decodeURIComponent(secret.username);
  const pass = decodeURIComponent(secret.password);
  return {
    servers: parts.map((part) => part.host),
    tls: parts.some((part) => part.protocol === 'tls:'),
    ...(user !== '' && pass !== '' ? { user, pass } : {}),
    ...(user !== '' && pass === '' ? { token: user } : {}),
  };
}

function parseOne(text: string): URL {
  const full = text.includes('://') ? text : `nats://${text}`;
  const parsed = URL.canParse(full) ? new URL(full) : undefined;
  if (parsed === undefined || parsed.hostname === '' || !/^(nats|tls):$/.test(parsed.protocol))
    throw new TypeError('not a mesh address: expected nats://[token@]host:port');
  if (parsed.port === '') parsed.port = '4222';
  return parsed;
}

/** All that is given to the client but the credentials, which are no plain value. */
export function plainOptions(address: MeshAddress, name: string): ConnectionOptions {
  const { ca, certificate: cert, key } = address.certificates ?? {};
  const own = cert === undefined || key === undefined ? {} : { cert, key };
  return {
    servers: [...address.servers],
    name,
    inboxPrefix: inboxPrefix(address.member?.name),
    ...(address.token === undefined ? {} : { token: address.token }),
    ...(address.user === undefined ? {} : { user: address.user, pass: address.pass ?? '' }),
    ...(address.tls
      ? { tls: { ...(ca === undefined ? {} : { ca, servername: SERVER_NAME }), ...own } }
      : {}),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 5_000,
    maxPingOut: 2,
    timeout: 3_000,
    // A server that is being replaced may refuse us for a moment: that must not end the daemon.
    ignoreAuthErrorAbort: true,
    // Where members go stands in the mesh's own record, with addresses that were tried; servers tell of any they know.
    ignoreClusterUpdates: address.member !== undefined,
    // Else each request makes two exceptions in advance, for the stack of an error that hardly ever comes.
    noAsyncTraces: true,
  };
}

/** How to connect; options are for one connection in this thread. */
export function connectionOptions(address: MeshAddress, name: string): ConnectionOptions {
  const { member } = address;
  if (member === undefined) return plainOptions(address, name);
  // Each time it connects: they may be others by then.
  const authenticator: Authenticator = (nonce) =>
    credsAuthenticator(new TextEncoder().encode(member.credentials))(nonce);
  return { ...plainOptions(address, name), authenticator };
}

/**
 * `connect()` can hang (NATS.md §1), so the wait is ours; a connection that comes too late is closed. The server that
 * speaks first is tried alone: of several, the client tells only why the last one failed. It may never let anybody in
 * although it speaks, so that every other time all are tried.
 */
async function dial(address: MeshAddress, name: string, deadline: number): Promise<NatsConnection> {
  const slow = deadline + SLOW_MS;
  let until = deadline;
  let last: unknown;
  for (let isAlone = true; monotonicMs() < until; isAlone = !isAlone) {
    const found = await nearestFirst(address.servers, AbortSignal.timeout(leftMs(until)));
    const [nearest, ...others] = found ?? [];
    const all = nearest === undefined ? address.servers : [...others, nearest];
    const servers = nearest === undefined || !isAlone ? all : [nearest];
    const options = { ...connectionOptions({ ...address, servers }, name), noRandomize: true };
    const attempt = connect(options);
    // A timer left behind would keep a process alive that has nothing more to do.
    const settled = new AbortController();
    const won = await Promise.race([
      attempt.catch((error: unknown) => ({ error })),
      pause(leftMs(found === undefined ? until : slow), settled.signal).then(() => undefined),
    ]).finally(() => settled.abort());
    if (won === undefined) {
      void attempt.then((late) => late.close()).catch(() => undefined);
      break;
    }
    if (!('error' in won)) {
      won.setServers([...(found ?? address.servers)]);
      return won;
    }
    last = won.error;
    if (isRefusal(last)) throw new MeshRefusedError(shownUrl(address), last);
    if (found !== undefined && isSlowness(last)) until = slow;
    await pause(Math.min(DIAL_AGAIN_MS, leftMs(until)));
  }
  throw new MeshUnreachableError(shownUrl(address), last);
}

const isRefusal = (error: unknown): boolean =>
  error instanceof errors.UserAuthenticationExpiredError ||
  (error instanceof errors.AuthorizationError && !isSlowness(error));

/** A server that did not hear from us in time says so with the same error as one that does not know us. */
const isSlowness = (error: unknown): boolean =>
  error instanceof errors.TimeoutError ||
  (error instanceof errors.AuthorizationError && /timeout/i.test(error.message));

const leftMs = (until: number): number => Math.max(0, Math.ceil(until - monotonicMs()));

/** In a cluster the leader may still be elected, so silence is asked again until the deadline. */
async function checkJetStream(mesh: MeshConnection, deadline: number): Promise<void> {
  const { nc, url } = mesh;
  if (nc.info?.jetstream !== true && nc.info?.cluster === undefined)
    throw new JetStreamDisabledError(url);
  for (;;) {
    try {
      await mesh.jsm.getAccountInfo();
      return;
    } catch (error) {
      if (monotonicMs() >= deadline)
        throw nc.info?.cluster === undefined
          ? new JetStreamDisabledError(url, error)
          : new MeshStandsStillError(url, error);
      await pause(100);
    }
  }
}

/** Compares the numbers of two versions; what follows a dash is ignored. */
export function isAtLeast(version: string, wanted: string): boolean {
  const numbers = (text: string): number[] =>
    (text.split('-')[0] ?? '').split('.').map((part) => Number.parseInt(part, 10) || 0);
  const [have, want] = [numbers(version), numbers(wanted)];
  for (let i = 0; i < 3; i++) {
    const difference = (have[i] ?? 0) - (want[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
