/** Where a server lets clients in. */
export interface ListenAddress {
  /** An address of this machine; `0.0.0.0` or `::` for all. */
  readonly host: string;
  /** 0: the one it had before, or any that is free. */
  readonly port: number;
}

const WILDCARDS: readonly string[] = ['0.0.0.0', '::'];
export const LOOPBACK = '127.0.0.1';

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host.startsWith('127.') || host === '::1';

/** How this machine itself reaches a server that listens there. */
export function ownHost(host: string): string {
  return WILDCARDS.includes(host) ? LOOPBACK : host;
}

/** `host:port`, an address of IPv6 in brackets. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
