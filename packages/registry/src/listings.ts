import {
  type ArtifactId,
  MANIFEST_BYTES_MAX,
  type ManifestRecord,
  OCI_INDEX,
  parseManifest,
} from '@podmesh/core';
import type { Exchange } from './exchange.ts';
import { RegistryError } from './registry-error.ts';
import { REFERRERS_PER_PAGE_MAX, TAGS_PER_PAGE_MAX } from './registry-limits.ts';
import type { RegistryParts } from './registry-parts.ts';

/** `GET /v2/<name>/tags/list`, in the order of their characters, in pages. */
export async function listTags(
  { tags, manifests }: Pick<RegistryParts, 'tags' | 'manifests'>,
  repository: string,
  exchange: Exchange,
): Promise<void> {
  const limit = pageSize(exchange.query.get('n'));
  const last = exchange.query.get('last') ?? '';
  const all = (await tags.list(repository)).map(({ tag }) => tag).sort(byCharacters);
  if (all.length === 0 && (await manifests.list(repository)).length === 0) {
    const message = `this mesh has no repository ${repository}`;
    throw new RegistryError(404, 'NAME_UNKNOWN', message);
  }
  const rest = all.filter((tag) => tag > last);
  const page = rest.slice(0, limit);
  const isMore = limit > 0 && rest.length > page.length;
  const next = `/v2/${repository}/tags/list?n=${limit}&last=${page.at(-1)}`;
  exchange.json(
    200,
    { name: repository, tags: page },
    isMore ? { Link: `<${next}>; rel="next"` } : {},
  );
}

/** `GET /v2/<name>/referrers/<digest>`: what of the repository says something about that manifest, in pages. */
export async function listReferrers(
  { blobs, manifests }: Pick<RegistryParts, 'blobs' | 'manifests'>,
  { repository, digest }: { readonly repository: string; readonly digest: ArtifactId },
  exchange: Exchange,
): Promise<void> {
  const filter = exchange.query.get('artifactType') ?? undefined;
  const last = exchange.query.get('last') ?? '';
  const rest = (await manifests.list(repository))
    .filter((record) => record.subject === digest && record.digest > last)
    .sort((a, b) => byCharacters(a.digest, b.digest));
  const page = rest.slice(0, REFERRERS_PER_PAGE_MAX);
  const described: Referrer[] = [];
  for (const record of page) {
    const referrer = await describeReferrer(blobs, record, exchange.signal);
    if (filter === undefined || referrer.artifactType === filter) described.push(referrer);
  }
  const query = new URLSearchParams({
    last: page.at(-1)?.digest ?? '',
    ...(filter === undefined ? {} : { artifactType: filter }),
  });
  const next = `</v2/${repository}/referrers/${digest}?${query}>; rel="next"`;
  exchange.json(
    200,
    { schemaVersion: 2, mediaType: OCI_INDEX, manifests: described },
    {
      'Content-Type': OCI_INDEX,
      ...(filter === undefined ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
      ...(rest.length > page.length ? { Link: next } : {}),
    },
  );
}

interface Referrer {
  readonly mediaType: string;
  readonly size: number;
  readonly digest: ArtifactId;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** With what the manifest itself says; without it where its bytes cannot be had at this moment. */
async function describeReferrer(
  blobs: RegistryParts['blobs'],
  { digest, mediaType, bytes }: ManifestRecord,
  signal: AbortSignal,
): Promise<Referrer> {
  const plain = { mediaType, size: bytes, digest };
  const there = await blobs.bring(digest, bytes, signal);
  if (there === undefined || there > MANIFEST_BYTES_MAX) return plain;
  const pieces: Uint8Array[] = [];
  for await (const piece of blobs.read(digest, { start: 0, end: there })) pieces.push(piece);
  const parsed = parseManifest(Buffer.concat(pieces).toString('utf8'), mediaType);
  if (!parsed.ok) return plain;
  const { annotations, config } = parsed.value;
  const artifactType = parsed.value.artifactType ?? config?.mediaType;
  return {
    ...plain,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function pageSize(text: string | null): number {
  if (text === null) return TAGS_PER_PAGE_MAX;
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text), TAGS_PER_PAGE_MAX);
  const shown = JSON.stringify(text.slice(0, 100));
  throw new RegistryError(400, 'UNSUPPORTED', `n=${shown} is not a number of tags`);
}

const byCharacters = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
