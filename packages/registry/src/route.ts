import { type ArtifactId, artifactId, isDigest, isRepository, isTag } from '@podmesh/core';
import { RegistryError } from './registry-error.ts';

/** What a request is about, its names checked. */
export type Route =
  | { readonly kind: 'base' }
  | { readonly kind: 'uploads'; readonly repository: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly session: string }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: ArtifactId }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: ManifestName }
  | { readonly kind: 'tags'; readonly repository: string }
  | { readonly kind: 'referrers'; readonly repository: string; readonly digest: ArtifactId };

export type ManifestName =
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'digest'; readonly digest: ArtifactId };

/** What is well said, and of which there can be none here. */
const FOREIGN_DIGEST = /^(?!sha256:)[a-z0-9]+([.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]+$/;
const SESSION = /^[0-9a-f-]{36}$/;

/**
 * Reads the path of a request, as it was sent: nothing is resolved in it, so `..` and `%2f` are names that nothing has. Throws
 * a `RegistryError`.
 */
export function parseRoute(path: string, method: string): Route {
  if (path === '/v2' || path === '/v2/') return { kind: 'base' };
  const parts = path.split('/').map((part) => decoded(part));
  const [root, version, ...rest] = parts;
  if (root !== '' || version !== 'v2' || rest.length < 3) throw unknownPath(path);
  const last = rest.at(-1) ?? '';
  const kind = rest.at(-2) ?? '';
  if (kind === 'uploads' && rest.at(-3) === 'blobs') {
    const repository = repositoryOf(rest.slice(0, -3));
    return last === '' ? { kind: 'uploads', repository } : uploadRoute(repository, last);
  }
  // Without the slash at its end it means the same to many clients.
  if (last === 'uploads' && kind === 'blobs')
    return { kind: 'uploads', repository: repositoryOf(rest.slice(0, -2)) };
  const names = rest.slice(0, -2);
  const isPart = kind === 'blobs' || kind === 'manifests';
  // Only who brings something by such a name is wrong; who asks for it is told that it is not here.
  if (isPart && method !== 'PUT' && FOREIGN_DIGEST.test(last)) throw unknownDigest(kind, last);
  switch (kind) {
    case 'blobs':
      return { kind: 'blob', repository: repositoryOf(names), digest: parseDigest(last) };
    case 'manifests':
      return { kind: 'manifest', repository: repositoryOf(names), reference: nameOf(last) };
    case 'referrers':
      return { kind: 'referrers', repository: repositoryOf(names), digest: parseDigest(last) };
    case 'tags':
      if (last === 'list') return { kind: 'tags', repository: repositoryOf(names) };
      throw unknownPath(path);
    default:
      throw unknownPath(path);
  }
}

/** Throws a `RegistryError` with the code for it. */
export function parseDigest(text: string): ArtifactId {
  if (isDigest(text)) return artifactId(text);
  const shown = JSON.stringify(text.slice(0, 200));
  if (FOREIGN_DIGEST.test(text)) {
    const message = `${shown} is no sha256 digest, and artifacts have no others`;
    throw new RegistryError(400, 'DIGEST_INVALID', message);
  }
  throw new RegistryError(400, 'DIGEST_INVALID', `${shown} is not a digest`);
}

function unknownDigest(kind: string, digest: string): RegistryError {
  const code = kind === 'manifests' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN';
  const message = `nothing here is named ${digest.slice(0, 200)}: artifacts have sha256 digests alone`;
  return new RegistryError(404, code, message);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw unknownPath(part);
  }
}

function uploadRoute(repository: string, session: string): Route {
  if (SESSION.test(session)) return { kind: 'upload', repository, session };
  throw new RegistryError(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload');
}

function repositoryOf(parts: readonly string[]): string {
  const name = parts.join('/');
  if (isRepository(name)) return name;
  const shown = JSON.stringify(name.slice(0, 200));
  throw new RegistryError(400, 'NAME_INVALID', `${shown} cannot be the name of a repository`);
}

function nameOf(text: string): ManifestName {
  if (text.includes(':')) return { kind: 'digest', digest: parseDigest(text) };
  if (isTag(text)) return { kind: 'tag', tag: text };
  const shown = JSON.stringify(text.slice(0, 200));
  throw new RegistryError(400, 'MANIFEST_INVALID', `${shown} is neither a tag nor a digest`);
}

function unknownPath(path: string): RegistryError {
  const shown = JSON.stringify(path.slice(0, 200));
  return new RegistryError(404, 'NAME_UNKNOWN', `the distribution API has no ${shown}`);
}
