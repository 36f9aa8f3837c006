import type { PeerId } from '../words/ids.ts';
import { isRepository, isTag, type MeshReference, parseMeshReference } from './mesh-reference.ts';

/** A registry that a peer may ask, once for the whole mesh, for images that the mesh does not have. */
export interface Mirror {
  /** As names of images begin: `docker.io`, `quay.io`, `localhost:5000`. */
  readonly host: string;
  /** What its repositories begin with in the mesh. */
  readonly prefix: string;
}

/** A repository of such a registry. */
export interface UpstreamPlace {
  readonly host: string;
  readonly repository: string;
}

const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?$/;

/** `HOST[=PREFIX]`; undefined: it is no such thing. Without a prefix it is the host, with `_` for what names must not have. */
export function parseMirror(text: string): Mirror | undefined {
  const [host = '', prefix = host.replace(/[:[\]]+/g, '_'), ...more] = text.split('=');
  if (!HOST.test(host) || !isRepository(prefix) || more.length > 0) return undefined;
  return { host, prefix };
}

/** What a name of a mirrored registry is called in the mesh; undefined: it is of no such registry. */
export function mirroredReference(
  text: string,
  mirrors: readonly Mirror[],
): MeshReference | undefined {
  const slash = text.indexOf('/');
  const mirror = mirrors.find(({ host }) => host === text.slice(0, slash));
  if (mirror === undefined) return undefined;
  const rest = text.slice(slash + 1);
  const isOfficial = mirror.host === 'docker.io' && !rest.includes('/');
  return parseMeshReference(`mesh/${mirror.prefix}/${isOfficial ? 'library/' : ''}${rest}`);
}

/** Where a repository of the mesh comes from; undefined: from nowhere but the mesh. */
export function upstreamOf(
  repository: string,
  mirrors: readonly Mirror[],
): UpstreamPlace | undefined {
  const mirror = mirrors.find(({ prefix }) => repository.startsWith(`${prefix}/`));
  if (mirror === undefined) return undefined;
  return { host: mirror.host, repository: repository.slice(mirror.prefix.length + 1) };
}

/** Who asks elsewhere for an image at this moment: one peer of the mesh, as long as it says so. */
export interface MirrorClaims {
  /**
   * Takes the claim, or renews it: `seen` is what the last call gave. Refused when another has it; then `revision` changes as
   * long as that peer goes on, by which those who wait know, each by its own patience, when they may take it over.
   */
  take(image: string, peer: PeerId, seen: number | undefined): Promise<MirrorClaim>;
  /** Harmless when it is gone. */
  release(image: string): Promise<void>;
}

export interface MirrorClaim {
  readonly kind: 'mine' | 'others';
  readonly revision: number;
}

/** What an image is claimed as: its repository with a tag or a digest. */
export function mirrorClaimName(repository: string, reference: string): string {
  if (!isRepository(repository) || !(isTag(reference) || reference.includes(':')))
    throw new TypeError(`${repository} ${reference} names no image`);
  return `${repository}@${reference}`;
}
