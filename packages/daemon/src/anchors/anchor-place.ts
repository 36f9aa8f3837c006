import { connect } from 'node:net';
import { freePort, isFree } from '@podmesh/jetstream';
import { bracketed, isLoopback } from '@podmesh/transfer';

/** Where firewalls are told to let NATS in: clients, and other servers. */
const PORTS = { client: 4222, route: 6222 } as const;
const REACH_MS = 5_000;

/** The host of `host:port`, without brackets. */
export const hostOf = (address: string): string =>
  address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
export const portOf = (address: string): number =>
  Number(address.slice(address.lastIndexOf(':') + 1));
export const placeOf = (host: string, port: number): string => `${bracketed(host)}:${port}`;

/** Between machines the port that is known for it, where it is free; any on loopback, where many may run. */
export async function choosePort(host: string, kind: keyof typeof PORTS): Promise<number> {
  const known = PORTS[kind];
  if (!isLoopback(host) && (await isFree(known, host))) return known;
  return freePort(host);
}

/** The address of this machine on the way to the mesh's server: by that one others reach it best. Throws when it cannot. */
export async function ownAddressTowards(server: string): Promise<string> {
  const socket = connect({ host: hostOf(server), port: portOf(server) });
  socket.setTimeout(REACH_MS, () => socket.destroy(new Error(`${server} does not answer`)));
  try {
    return await new Promise<string>((resolve, reject) => {
      socket.once('connect', () => resolve((socket.localAddress ?? '').replace(/^::ffff:/, '')));
      socket.once('error', reject);
    });
  } finally {
    socket.destroy();
  }
}
