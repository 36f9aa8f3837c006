import type { ArtifactId } from '@podmesh/core';
import { parseRange } from './content-range.ts';
import type { Exchange } from './exchange.ts';
import { RegistryError } from './registry-error.ts';
import type { RegistryParts } from './registry-parts.ts';

type Parts = Pick<RegistryParts, 'blobs'>;

/** `GET` and `HEAD` of a blob. It belongs to all repositories alike: a digest is proof enough. */
export async function sendBlob(
  parts: Parts,
  digest: ArtifactId,
  exchange: Exchange,
): Promise<void> {
  const { blobs } = parts;
  const { signal } = exchange;
  const isHead = exchange.method === 'HEAD';
  const bytes = isHead
    ? await blobs.find(digest, signal)
    : await blobs.bring(digest, undefined, signal);
  if (bytes === undefined) throw unknownBlob(digest);
  const headers = {
    'Content-Type': 'application/octet-stream',
    'Docker-Content-Digest': digest,
    'Accept-Ranges': 'bytes',
    ETag: `"${digest}"`,
  };
  const range = isHead ? 'whole' : parseRange(exchange.header('range'), bytes);
  if (range === 'unsatisfiable') {
    const more = { headers: { 'Content-Range': `bytes */${bytes}` } };
    throw new RegistryError(416, 'SIZE_INVALID', `the blob has ${bytes} bytes`, more);
  }
  if (isHead) return exchange.answer(200, { ...headers, 'Content-Length': bytes });
  if (range === 'whole') {
    const all = blobs.read(digest, { start: 0, end: bytes });
    return await exchange.stream(200, { ...headers, 'Content-Length': bytes }, all);
  }
  const { start, end } = range;
  const part = {
    'Content-Length': end - start,
    'Content-Range': `bytes ${start}-${end - 1}/${bytes}`,
  };
  await exchange.stream(206, { ...headers, ...part }, blobs.read(digest, range));
}

export function unknownBlob(digest: ArtifactId): RegistryError {
  const message = `no peer that can be reached has the blob ${digest}`;
  return new RegistryError(404, 'BLOB_UNKNOWN', message, { detail: { digest } });
}
