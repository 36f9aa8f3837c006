import { networkInterfaces } from 'node:os';

const WILDCARDS: readonly string[] = ['0.0.0.0', '::', '[::]', '*'];

/** Whether whoever listens there listens on all addresses of this machine. */
export const isWildcard = (host: string): boolean => WILDCARDS.includes(host);

/** Whether nobody but this machine reaches it. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || /^127\./.test(host) || host === '::1' || host === '[::1]';

/** Addresses by which others may reach this machine, those of IPv4 first; none that hold on one line only. */
export function ownAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  const outside = all.filter(({ internal, address }) => !internal && !/^fe80:/i.test(address));
  const of = (family: string): readonly string[] =>
    outside.filter((one) => one.family === family).map(({ address }) => address);
  return [...of('IPv4'), ...of('IPv6')];
}

/** An address as it stands before a port. */
export const bracketed = (address: string): string =>
  address.includes(':') && !address.startsWith('[') ? `[${address}]` : address;
