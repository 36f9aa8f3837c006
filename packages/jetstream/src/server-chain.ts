import { createConnection, type Socket } from 'node:net';
import { connect, type PeerCertificate } from 'node:tls';

/** Why a server showed no certificates: nobody there, no nats-server, or one without TLS. */
export class NoServerChainError extends Error {
  readonly kind: 'unreachable' | 'no-mesh';

  constructor(kind: 'unreachable' | 'no-mesh', message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'NoServerChainError';
    this.kind = kind;
  }
}

/** The longest line a server begins with; it lists all servers of its cluster. */
const INFO_BYTES_MAX = 64 * 1024;
const CHAIN_MAX = 5;

/**
 * The certificates that the nats-server at `host:port` shows, its own first, as PEM. Nothing is believed and nothing is
 * told: who reads it compares. Throws `NoServerChainError`.
 */
export async function readServerChain(
  server: string,
  timeoutMs: number,
): Promise<readonly string[]> {
  const { hostname, port } = new URL(`tcp://${server}`);
  const socket = createConnection({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) });
  const late = setTimeout(() => socket.destroy(new Error('no answer in time')), timeoutMs);
  try {
    await greeting(socket, server);
    return await handshake(socket, server);
  } finally {
    clearTimeout(late);
    socket.destroy();
  }
}

/** What a nats-server says before all else; TLS begins after it. */
function greeting(socket: Socket, server: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    let isConnected = false;
    const read = (): void => {
      const piece = socket.read() as Buffer | null;
      if (piece === null) return;
      text += piece.toString('latin1');
      if (!text.includes('\r\n') && text.length < INFO_BYTES_MAX) return;
      socket.removeListener('readable', read);
      const info = /^INFO (\{.*\})\s*\r\n/.exec(text)?.[1];
      if (info !== undefined && /"tls_(required|available)":\s*true/.test(info)) resolve();
      else reject(new NoServerChainError('no-mesh', `${server} is no server of a mesh with TLS`));
    };
    socket.once('connect', () => {
      isConnected = true;
    });
    socket.on('readable', read);
    const failed = (error?: Error): void =>
      reject(
        isConnected
          ? new NoServerChainError('no-mesh', `${server} does not speak as a mesh does`, error)
          : new NoServerChainError('unreachable', `${server} does not answer`, error),
      );
    socket.once('error', failed);
    socket.once('close', () => failed());
  });
}

function handshake(socket: Socket, server: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const failed = (cause?: Error): void =>
      reject(new NoServerChainError('no-mesh', `${server} broke off the TLS handshake`, cause));
    // Not judged here: the caller knows the fingerprint.
    const secure = connect({ socket, rejectUnauthorized: false }, () => {
      resolve(chainOf(secure.getPeerCertificate(true)));
      secure.destroy();
    });
    secure.once('error', failed);
    secure.once('close', () => failed());
  });
}

/** The last one, which signed itself, names itself as its issuer. */
function chainOf(first: PeerCertificate): readonly string[] {
  const chain: string[] = [];
  let certificate: PeerCertificate & { issuerCertificate?: PeerCertificate } = first;
  while (certificate?.raw !== undefined && chain.length < CHAIN_MAX) {
    chain.push(pemOf(certificate.raw));
    const next = certificate.issuerCertificate;
    if (next === undefined || next === certificate) break;
    certificate = next;
  }
  return chain;
}

function pemOf(raw: Buffer): string {
  const lines = raw.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
