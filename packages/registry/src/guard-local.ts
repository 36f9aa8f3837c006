import type { IncomingHttpHeaders } from 'node:http';
import { RegistryError } from './registry-error.ts';

const LOCAL = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

/**
 * Refuses what a page in a browser of this machine could send: it reaches loopback too, by a name of its own that it
 * points here (then `Host` is that name), or across origins (then it says so). Throws a `RegistryError`.
 */
export function guardLocal(headers: IncomingHttpHeaders): void {
  const { host = '', origin } = headers;
  const site = headers['sec-fetch-site'];
  if (!LOCAL.test(host))
    throw denied(`${JSON.stringify(host.slice(0, 100))} is not a name of this machine's loopback`);
  if (origin !== undefined) throw denied('it comes from a page in a browser');
  if (site !== undefined && site !== 'none') throw denied('it comes from a page in a browser');
}

function denied(why: string): RegistryError {
  return new RegistryError(
    403,
    'DENIED',
    `this registry serves programs of its own machine: ${why}`,
  );
}
