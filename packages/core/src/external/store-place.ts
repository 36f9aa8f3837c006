import { canonicalJson, type Sha256 } from '../words/digest.ts';

/**
 * Where bytes outside of the mesh are: an object of S3, a URL, or a URL that is a secret itself (a presigned one).
 * Credentials are names of secrets of the document, never values.
 */
export type StorePlace =
  | {
      readonly kind: 's3';
      readonly bucket: string;
      readonly key: string;
      /** Absent: Amazon's own. */
      readonly endpoint?: string;
      readonly region?: string;
      /** Without both of them requests are not signed. */
      readonly accessKeyId?: string;
      readonly secretAccessKey?: string;
      readonly sessionToken?: string;
    }
  | {
      readonly kind: 'https';
      readonly url: string;
      /** The value of the header of this name, as a whole. */
      readonly authorization?: string;
    }
  | { readonly kind: 'secret'; readonly secret: string };

/** The members of a place that name secrets. */
const CREDENTIALS = [
  'accessKeyId',
  'secretAccessKey',
  'sessionToken',
  'authorization',
  'secret',
] as const;

/** How a person names the place; it never shows a credential, nor the query of a URL. */
export function placeText(place: StorePlace): string {
  switch (place.kind) {
    case 's3':
      return `s3://${place.bucket}/${place.key}`;
    case 'https':
      return place.url.replace(/\?.*$/s, '?…');
    default:
      return `secret:${place.secret}`;
  }
}

/** The names of the secrets without which nobody can use the place. */
export function secretsOfPlace(place: StorePlace): readonly string[] {
  const members: Readonly<Record<string, unknown>> = { ...place };
  return CREDENTIALS.flatMap((name) => {
    const secret = members[name];
    return typeof secret === 'string' ? [secret] : [];
  });
}

/** The same for all inputs that read the same place, whoever pays: 64 hex digits, fit for a subject. */
export function sourceKey(place: StorePlace, sha256: Sha256): string {
  if (place.kind !== 's3') {
    const { kind } = place;
    return sha256(canonicalJson({ kind, at: kind === 'https' ? place.url : place.secret }));
  }
  const { kind, bucket, key, endpoint, region } = place;
  return sha256(canonicalJson({ kind, bucket, key, endpoint, region }));
}

/** The place of one element of an array job: `{index}` stands for its number. */
export function placeOfElement(place: StorePlace, element: number | undefined): StorePlace {
  if (element === undefined) return place;
  const fill = (text: string): string => text.replaceAll('{index}', String(element));
  if (place.kind === 's3') return { ...place, key: fill(place.key) };
  return place.kind === 'https' ? { ...place, url: fill(place.url) } : place;
}
