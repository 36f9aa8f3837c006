import type { StorePlace } from '../external/store-place.ts';
import { ok, type Result, refused } from '../words/result.ts';
import type { DocumentStore } from './graph-document.ts';
import { type Finding, inWords } from './problem-list.ts';

/** Object keys of S3, in characters: its own limit is 1,024 bytes. */
const KEY_CHARACTERS_MAX = 1_024;
const S3 = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/(\P{Cc}+)$/su;
const WEB = /^(https?):\/\/([^\s/?#]+)(?:\/[^\s?#]*)?(\?[^\s#]*)?$/;
const SECRET = /^secret:([A-Za-z0-9][A-Za-z0-9._-]{0,127})$/;
const LOOPBACK = /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?$/i;
/** Members of a query that let in who has them. */
const CREDENTIAL =
  /[?&](x-amz-(signature|credential|security-token)|x-goog-(signature|credential)|signature|awsaccesskeyid|sig|sv|se|token|access_token|auth|api[-_]?key|key|password|secret)=/i;

/** Whether an input or output names a store outside of the mesh. */
export const isPlaceText = (text: string): boolean => /^(s3|https?|secret):/.test(text);

/** Reads an address, and how it is reached by what `stores` says of its beginning. */
export function parsePlace(
  text: string,
  stores: Readonly<Record<string, DocumentStore>>,
): Result<StorePlace, Finding> {
  const store = storeOf(text, stores);
  if (text.startsWith('secret:')) {
    const [, secret] = SECRET.exec(text) ?? [];
    return secret === undefined ? refused(badAddress(text)) : ok({ kind: 'secret', secret });
  }
  return text.startsWith('s3:') ? parseS3(text, store) : parseWeb(text, store);
}

/** What is wrong with an address of the web; undefined when nothing is. Never shows its query. */
export function refusedUrl(url: string): Finding | undefined {
  const [, scheme, host = ''] = WEB.exec(url) ?? [];
  if (scheme === undefined) return badAddress(url.replace(/\?.*$/s, '?…'));
  if (host.includes('@')) {
    return {
      problem: 'the address holds a user name or a password, which would be kept in the run log',
      advice: 'Name the secret with the "authorization" of this store under "stores".',
    };
  }
  if (scheme === 'http' && !LOOPBACK.test(host)) {
    return {
      problem: `http://${host} would carry everything in clear over the network`,
      advice: 'Write https://. Plain http is for this machine itself (localhost) only.',
    };
  }
  return undefined;
}

/** Whether the URL leads to the machine itself, by its name. */
export function isLoopbackUrl(url: string): boolean {
  const [, , host = ''] = WEB.exec(url) ?? [];
  return LOOPBACK.test(host);
}

function parseS3(text: string, store: DocumentStore): Result<StorePlace, Finding> {
  const [, bucket, key] = S3.exec(text) ?? [];
  if (bucket === undefined || key === undefined || key.length > KEY_CHARACTERS_MAX)
    return refused(badAddress(text));
  const { endpoint, region, accessKeyId, secretAccessKey, sessionToken } = store;
  const finding = endpoint === undefined ? undefined : refusedUrl(endpoint);
  if (finding !== undefined) return refused(finding);
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    return refused({
      problem: `"accessKeyId" and "secretAccessKey" of the store of ${inWords(text)} belong together`,
      advice: 'Name both, or none for a bucket that everybody may read.',
    });
  }
  return ok({
    kind: 's3',
    bucket,
    key,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(accessKeyId === undefined ? {} : { accessKeyId }),
    ...(secretAccessKey === undefined ? {} : { secretAccessKey }),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  });
}

function parseWeb(url: string, { authorization }: DocumentStore): Result<StorePlace, Finding> {
  const finding = refusedUrl(url);
  if (finding !== undefined) return refused(finding);
  if (CREDENTIAL.test(url)) {
    return refused({
      problem:
        'the query of this address lets in whoever reads it, and would be kept in the run log for everybody in the mesh',
      advice:
        'Make the whole address a secret: put it into an environment variable, name that under "secrets", and write "secret:<name>" here.',
    });
  }
  return ok({ kind: 'https', url, ...(authorization === undefined ? {} : { authorization }) });
}

const NO_STORE: DocumentStore = {};

/** A beginning ends where a part of the address ends: `s3://data` is not that of `s3://data-2/x`. */
function storeOf(text: string, stores: Readonly<Record<string, DocumentStore>>): DocumentStore {
  const beginnings = Object.keys(stores).filter((beginning) => {
    if (!text.startsWith(beginning)) return false;
    return beginning.endsWith('/') || /^[/?]?$/.test(text.charAt(beginning.length));
  });
  beginnings.sort((a, b) => b.length - a.length);
  return stores[beginnings[0] ?? ''] ?? NO_STORE;
}

function badAddress(text: string): Finding {
  return {
    problem: `${inWords(text)} is not the address of an object`,
    advice: 'Write "s3://bucket/key", "https://host/path", or "secret:<name>".',
  };
}
