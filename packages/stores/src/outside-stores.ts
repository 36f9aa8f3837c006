import {
  type ExternalStore,
  ExternalStoreError,
  placeText,
  type SecretValues,
  type StorePlace,
} from '@podmesh/core';
import { readS3 } from './read-s3.ts';
import type { ReadTimes } from './resuming-read.ts';
import { retried } from './retried.ts';
import type { S3Place } from './s3-client.ts';
import { readWeb, type WebPlace, writeWeb } from './web-store.ts';
import { writeS3 } from './write-s3.ts';

/** S3 and the web as the one port of stores that people already have. Holds nothing between two calls. */
export class OutsideStores implements ExternalStore {
  readonly #times: ReadTimes;

  /** `times`: tests shorten them. */
  constructor(times: ReadTimes = {}) {
    this.#times = times;
  }

  read(place: StorePlace, secrets: SecretValues, signal: AbortSignal): AsyncIterable<Uint8Array> {
    if (place.kind === 's3') return readS3(withS3Credentials(place, secrets), signal, this.#times);
    return readWeb(withWebCredentials(place, secrets), signal, this.#times);
  }

  async write(
    place: StorePlace,
    file: { readonly path: string; readonly bytes: number },
    secrets: SecretValues,
    signal: AbortSignal,
  ): Promise<void> {
    const retrying = { signal, retryMs: this.#times.retryMs };
    if (place.kind === 's3') {
      await writeS3(withS3Credentials(place, secrets), file, retrying);
      return;
    }
    const web = withWebCredentials(place, secrets);
    await retried(() => writeWeb(web, file, signal), retrying);
  }
}

function withS3Credentials(
  place: Extract<StorePlace, { kind: 's3' }>,
  secrets: SecretValues,
): S3Place {
  const { bucket, key, endpoint, region, accessKeyId, secretAccessKey, sessionToken } = place;
  const where = placeText(place);
  const at = { where, bucket, key, endpoint, region };
  if (accessKeyId === undefined || secretAccessKey === undefined) return at;
  const credentials = {
    accessKeyId: textOf(accessKeyId, secrets),
    secretAccessKey: textOf(secretAccessKey, secrets),
    ...(sessionToken === undefined ? {} : { sessionToken: textOf(sessionToken, secrets) }),
  };
  return { ...at, credentials };
}

function withWebCredentials(
  place: Exclude<StorePlace, { kind: 's3' }>,
  secrets: SecretValues,
): WebPlace {
  const where = placeText(place);
  if (place.kind === 'secret') return { where, url: textOf(place.secret, secrets) };
  const { url, authorization } = place;
  if (authorization === undefined) return { where, url };
  return { where, url, authorization: textOf(authorization, secrets) };
}

/** A credential is one line of text: what editors put behind it does not count. */
function textOf(name: string, secrets: SecretValues): string {
  const value = secrets.get(name);
  const text = value === undefined ? '' : Buffer.from(value).toString('utf8').trim();
  if (text !== '' && !/\p{Cc}/u.test(text)) return text;
  const problem = text === '' ? 'is empty' : 'holds control characters';
  throw new ExternalStoreError('refused', `the secret ${name} ${problem}`, { retryable: false });
}
