/** Where a token is to be had for what was refused (RFC 6750, RFC 7235). */
export interface Challenge {
  readonly realm: string;
  readonly service?: string;
  readonly scope?: string;
}

const PARAMETER = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** Reads a `WWW-Authenticate: Bearer …`; undefined for other schemes, and without an address. */
export function parseChallenge(header: string): Challenge | undefined {
  const [, said] = /^\s*bearer\s+(.*)$/i.exec(header) ?? [];
  if (said === undefined) return undefined;
  const found = new Map(
    Array.from(said.matchAll(PARAMETER), ([, name = '', value = '']) => [
      name,
      value.replace(/\\(.)/g, '$1'),
    ]),
  );
  const [realm, service, scope] = [found.get('realm'), found.get('service'), found.get('scope')];
  if (realm === undefined || !URL.canParse(realm)) return undefined;
  return {
    realm,
    ...(service === undefined ? {} : { service }),
    ...(scope === undefined ? {} : { scope }),
  };
}
