import { hostPort, LOOPBACK, ownHost } from './listen-address.ts';
import type { MeshAddress, MeshCertificates, MeshMember } from './mesh-connection.ts';

/** What a server must know to tell members from strangers: tokens that the mesh's authority signed, no secret. */
export interface ServerTrust {
  readonly operator: string;
  /** Public key of the system account. */
  readonly systemAccount: string;
  /** Public key of the account in which all of podmesh lives. */
  readonly account: string;
  /** Token of each account by its public key. */
  readonly accounts: Readonly<Record<string, string>>;
}

/** Files of a server that speaks TLS; PEM. */
export interface ServerTls {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

/** A server of a mesh with roles. */
export interface TrustedServer {
  readonly trust: ServerTrust;
  /** As whom its daemon looks whether it answers. */
  readonly member: MeshMember;
  readonly tls?: ServerTls;
  /** What the daemon itself needs for TLS. */
  readonly certificates?: MeshCertificates;
}

/** Who gets in: whoever knows the token of a server for one person, or members. */
export type ServerGuard =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'trust'; readonly server: TrustedServer; readonly name: string }
  /** Nobody but who started it may open what an account has stored. */
  | {
      readonly kind: 'closed';
      readonly account: string;
      readonly password: string;
      readonly name: string;
    };

const CLOSED_USER = 'mover';

/** Tells our server from a stranger on the same port, without giving anything away. */
export const serverName = (guard: ServerGuard): string =>
  guard.kind === 'token' ? `podmesh-${guard.token.slice(0, 12)}` : guard.name;

/** How a daemon connects to its own server on loopback. */
export function guardAddress(guard: ServerGuard, port: number, host = LOOPBACK): MeshAddress {
  const servers = [hostPort(ownHost(host), port)];
  if (guard.kind === 'token') return { servers, tls: false, token: guard.token };
  if (guard.kind === 'closed')
    return { servers, tls: false, user: CLOSED_USER, pass: guard.password };
  const { member, certificates } = guard.server;
  return {
    servers,
    tls: guard.server.tls !== undefined,
    member,
    ...(certificates === undefined ? {} : { certificates }),
  };
}

/** Lines of the server's configuration. */
export function guardLines(guard: ServerGuard, accountsFolder: string): readonly string[] {
  if (guard.kind === 'token') return [`authorization { token: ${JSON.stringify(guard.token)} }`];
  if (guard.kind === 'closed') {
    const user = `{ user: ${CLOSED_USER}, password: ${JSON.stringify(guard.password)} }`;
    return [`accounts { ${guard.account} { jetstream: enabled, users: [${user}] } }`];
  }
  const { trust, tls } = guard.server;
  return [
    `operator: ${JSON.stringify(trust.operator)}`,
    `system_account: ${trust.systemAccount}`,
    `resolver { type: full, dir: ${JSON.stringify(accountsFolder)}, interval: "1m" }`,
    'resolver_preload {',
    ...Object.entries(trust.accounts).map(([key, token]) => `  ${key}: ${JSON.stringify(token)}`),
    '}',
    ...(tls === undefined ? [] : tlsLines(tls)),
  ];
}

/** Members prove who they are by their credentials; whoever shows a certificate, too, must show one of the mesh. */
function tlsLines({ certificateFile, keyFile, caFile }: ServerTls): readonly string[] {
  return [
    'tls {',
    `  cert_file: ${JSON.stringify(certificateFile)}`,
    `  key_file: ${JSON.stringify(keyFile)}`,
    `  ca_file: ${JSON.stringify(caFile)}`,
    '  timeout: 5',
    '}',
  ];
}
