import type {
  ArtifactId,
  ContainerRuntime,
  ImageProblem,
  Offer,
  PullProgress,
} from '@podmesh/core';
import { AttemptFailure } from './attempt-failure.ts';
import type { ContainerRunParts } from './container-run-parts.ts';
import type { ArchiveWish } from './image-archives.ts';

export type NamedImage = Exclude<Offer['image'], { kind: 'archive' }>;

/** How an image is looked for on this machine. */
export interface ImageSearch {
  readonly arch: string;
  /** False: only in Podman's store. */
  readonly pull: false | PullProgress;
  readonly signal: AbortSignal;
}

/**
 * The local image id of what an offer names. A reference with a pin for this architecture means that image and
 * no other, whatever the tag means here by now. Throws an `AttemptFailure`.
 */
export async function resolveNamedImage(
  runtime: Pick<ContainerRuntime, 'resolveImage'>,
  image: NamedImage,
  { arch, pull, signal }: ImageSearch,
): Promise<string> {
  if (image.kind === 'digest') {
    const here = await runtime.resolveImage(image.digest, false, signal);
    if (here.ok) return here.value;
    throw failureOf(here.error);
  }
  const wanted = pinnedImage(image, arch);
  if (wanted !== undefined) {
    const here = await runtime.resolveImage(wanted, false, signal);
    if (here.ok) return here.value;
  }
  const { reference } = image;
  const found = await runtime.resolveImage(reference, pull, signal);
  if (!found.ok) throw failureOf(found.error, wanted);
  if (wanted === undefined || found.value === wanted) return found.value;
  // Pinned by its publisher or by its driver: an offer does not tell, and the remedy is the same.
  throw new AttemptFailure(
    'image-unavailable',
    `${reference} is image ${shortId(found.value)} on this machine; to this run it is ${shortId(wanted)}, ` +
      'which is not here: the tag was moved, or machines mean different images by it. Publish again to run ' +
      `with what it means now, or bring ${shortId(wanted)} here (podman save, podman load)`,
  );
}

/** The local image id of an image that a job left as an archive. Throws an `AttemptFailure`. */
export async function resolveArchive(
  { archives, runtime }: Pick<ContainerRunParts, 'archives' | 'runtime'>,
  archive: ArtifactId,
  wish: ArchiveWish,
): Promise<string> {
  const found =
    archives === undefined
      ? await runtime.loadImage(await wish.bring(), wish.signal)
      : await archives.resolve(archive, wish);
  if (found.ok) return found.value;
  throw failureOf(found.error);
}

/** What the reference of an offer was pinned to for machines of that architecture. */
export function pinnedImage(image: NamedImage, arch: string): string | undefined {
  return image.kind === 'reference' ? image.pins?.[arch] : undefined;
}

function failureOf({ kind, message }: ImageProblem, wanted?: string): AttemptFailure {
  const pinned = wanted === undefined ? '' : ` (to this run it is image ${shortId(wanted)})`;
  return new AttemptFailure(
    kind === 'platform' ? 'image-platform' : 'image-unavailable',
    `${message}${pinned}`,
  );
}

/** As Podman's own lists have it. */
const shortId = (id: string): string => id.replace('sha256:', '').slice(0, 12);
