import { ExternalStoreError } from '@podmesh/core';

/** The word for an answer's status; no text of a store is repeated, since it may hold credentials. */
export function failureOfStatus(where: string, status: number, code = ''): ExternalStoreError {
  const said = `${where} answered ${status}${code === '' ? '' : ` ${code}`}`;
  if (status === 404 || status === 410) {
    return new ExternalStoreError('missing', `${said}: there is no such object`, NOT_AGAIN);
  }
  if (status === 401 || status === 403) {
    const advice = 'check the credentials that the document names for this store';
    return new ExternalStoreError('refused', `${said}: ${advice}`, NOT_AGAIN);
  }
  // 501 and 505 are said of the request itself: it would be answered so for ever.
  const retryable =
    (status >= 500 && status !== 501 && status !== 505) || [408, 425, 429].includes(status);
  return new ExternalStoreError('failed', said, { retryable });
}

/** What a connection broke of. Only its code is told: messages of clients repeat addresses with their queries. */
export function failureOfConnection(where: string, error: unknown): ExternalStoreError {
  const code = codeOf(error);
  const isTls = /CERT|SIGNED|TLS|SSL|ISSUER|ALTNAME/.test(code);
  const advice = isTls
    ? '; its certificate must be one that this machine trusts (NODE_EXTRA_CA_CERTS of the daemon)'
    : '';
  const message = `no answer from ${where}: ${code}${advice}`;
  return new ExternalStoreError('failed', message, { retryable: !isTls && code !== 'ENOTFOUND' });
}

/** The object is another than the one of which some bytes are here already. */
export function changedMeanwhile(where: string): ExternalStoreError {
  const message = `${where} was changed while it was read`;
  return new ExternalStoreError('failed', message, NOT_AGAIN);
}

const NOT_AGAIN = { retryable: false };

function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
    if (at.name === 'TimeoutError') return 'it took too long';
  }
  return 'the connection broke';
}
