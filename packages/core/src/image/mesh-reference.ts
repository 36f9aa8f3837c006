import { type ArtifactId, artifactId, isDigest } from '../words/ids.ts';

/** Where every peer serves images to programs of its own machine, unless it was told otherwise or something else is there. */
export const REGISTRY_PORT = 5055;
/** Characters of a repository's name: with host and port in front of it clients take no more than 255. */
export const REPOSITORY_CHARACTERS_MAX = 229;

const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const MESH = 'mesh';
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

/** An image of the mesh: what its repository's tag means, or, with a digest, that very manifest. */
export interface MeshReference {
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: ArtifactId;
}

/** Whether `text` can name a repository (OCI distribution specification, "Pulling manifests"). */
export function isRepository(text: string): boolean {
  return text.length <= REPOSITORY_CHARACTERS_MAX && REPOSITORY.test(text);
}

/** Whether `text` can be a tag. */
export const isTag = (text: string): boolean => TAG.test(text);

/**
 * `mesh/me/tool:1`, or as it is pushed, `localhost:5055/me/tool:1`: that port is the mesh's in every document, whatever
 * the port of the peer that reads it. `ownPort`: of the daemon of the machine that the document was written on.
 * Undefined: not an image of the mesh, or not a name that one could have. Without tag and digest it is `latest`.
 */
export function parseMeshReference(text: string, ownPort?: number): MeshReference | undefined {
  const slash = text.indexOf('/');
  if (slash < 0 || !isMeshHost(text.slice(0, slash), ownPort)) return undefined;
  const [name = '', digest, ...more] = text.slice(slash + 1).split('@');
  if (more.length > 0 || (digest !== undefined && !isDigest(digest))) return undefined;
  const colon = name.indexOf(':');
  const repository = colon < 0 ? name : name.slice(0, colon);
  const tag = colon < 0 ? undefined : name.slice(colon + 1);
  if (!isRepository(repository) || (tag !== undefined && !isTag(tag))) return undefined;
  const meant = tag ?? (digest === undefined ? 'latest' : undefined);
  return {
    repository,
    ...(meant === undefined ? {} : { tag: meant }),
    ...(digest === undefined ? {} : { digest: artifactId(digest) }),
  };
}

/** The form that every peer understands: `mesh/me/tool:1@sha256:…`. */
export function meshReferenceText({ repository, tag, digest }: MeshReference): string {
  const tagged = tag === undefined ? '' : `:${tag}`;
  return `${MESH}/${repository}${tagged}${digest === undefined ? '' : `@${digest}`}`;
}

function isMeshHost(host: string, ownPort: number | undefined): boolean {
  if (host === MESH) return true;
  const ports = [REGISTRY_PORT, ...(ownPort === undefined ? [] : [ownPort])];
  return ports.some((port) => LOOPBACK.some((name) => host === `${name}:${port}`));
}
