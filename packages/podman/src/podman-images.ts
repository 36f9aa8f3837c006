import { createReadStream } from 'node:fs';
import type { ImageProblem, PullProgress, Result } from '@podmesh/core';
import { ok, refused } from '@podmesh/core';
import { registryOf } from './image-name.ts';
import { isUnpullable, looked, notHere, notPulled, otherPlatform } from './image-problems.ts';
import { PullStalledError } from './image-puller.ts';
import type { ImageAnswer, ImageListAnswer } from './podman-answers.ts';
import { PodmanRefusedError } from './podman-errors.ts';
import type { PodmanImageApi } from './podman-image-api.ts';

/** Images of the local store by id, with every name they have. */
export async function listImages(
  api: PodmanImageApi,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const images = await api.list();
  return new Map(images.map((image) => [image.Id, namesOf(image)]));
}

/** The id behind a reference, a short name, an image id or a manifest digest. */
export async function resolveImage(
  api: PodmanImageApi,
  arch: string,
  reference: string,
  options: { readonly pull: false | PullProgress; readonly signal: AbortSignal },
): Promise<Result<string, ImageProblem>> {
  const local = await findLocal(api, reference);
  if (local !== undefined) return checkPlatform(local, arch, reference);
  const { pull, signal } = options;
  if (pull === false || isUnpullable(reference)) return refused(notHere(reference));
  try {
    await api.pull(reference, pull, signal);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    return refused(notPulled(reference, arch, reason, await searchedFor(api, reference)));
  }
  const pulled = await findLocal(api, reference);
  if (pulled !== undefined) return checkPlatform(pulled, arch, reference);
  return refused({
    kind: 'unavailable',
    message: `${looked(reference)}, not even after a pull that succeeded`,
  });
}

/**
 * Loads an archive with exactly one image in it. Names that the archive brings along are taken away
 * from it again, and given back to the image that had them: a task's archive must not be able to
 * put itself in the place of `localhost/tool:1`, there or not yet there, for every later task.
 */
export async function loadImage(
  api: PodmanImageApi,
  arch: string,
  archivePath: string,
  signal: AbortSignal,
): Promise<Result<string, ImageProblem>> {
  const before = await api.list();
  let names: readonly string[];
  try {
    names = await api.load(createReadStream(archivePath), signal);
  } catch (error) {
    if (!(error instanceof PodmanRefusedError) || isDiskFull(error)) throw error;
    const message = `${archivePath} is neither an OCI nor a docker archive: ${error.reason}`;
    return refused({ kind: 'not-an-image', message });
  }
  const images: ImageAnswer[] = [];
  for (const name of names) {
    const image = await api.find(name);
    if (image === undefined) continue;
    images.push(image);
    await restoreName(api, name, image, before);
  }
  const ids = new Set(images.map((image) => image.Id));
  const [first] = images;
  if (first === undefined || ids.size !== 1) {
    const message = `${archivePath} holds ${ids.size} images, and one is needed`;
    return refused({ kind: 'not-an-image', message });
  }
  return checkPlatform(first, arch, archivePath);
}

/** `image` is the one that holds the name now. */
async function restoreName(
  api: PodmanImageApi,
  name: string,
  image: ImageAnswer,
  before: readonly ImageListAnswer[],
): Promise<void> {
  const owner = before.find((candidate) => namesOf(candidate).includes(name));
  const colon = name.lastIndexOf(':');
  const isName =
    !name.startsWith('sha256:') && !name.includes('@') && colon > name.lastIndexOf('/');
  if (!isName || owner?.Id === image.Id) return;
  const [repository, tag] = [name.slice(0, colon), name.slice(colon + 1)];
  if (owner === undefined) await api.untag(image.Id, repository, tag);
  else await api.tag(owner.Id, repository, tag);
}

/** Why a pull did not succeed, in words; undefined when that is not the image's or the registry's doing. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof PodmanRefusedError) return error.reason;
  return error instanceof PullStalledError ? error.message : undefined;
}

async function searchedFor(api: PodmanImageApi, reference: string): Promise<readonly string[]> {
  const named = registryOf(reference);
  return named === undefined ? await api.searchRegistries() : [named];
}

async function findLocal(api: PodmanImageApi, reference: string): Promise<ImageAnswer | undefined> {
  const asIs = await api.find(reference);
  if (asIs !== undefined) return asIs;
  if (reference.startsWith('sha256:')) {
    const holders = await api.list();
    const holder = holders.find((image) =>
      (image.RepoDigests ?? []).some((name) => name.endsWith(`@${reference}`)),
    );
    return holder === undefined ? undefined : await api.find(holder.Id);
  }
  // A name without a registry: images that were built here are in "localhost".
  return reference.startsWith('localhost/') ? undefined : await api.find(`localhost/${reference}`);
}

function checkPlatform(
  image: ImageAnswer,
  arch: string,
  name: string,
): Result<string, ImageProblem> {
  // An image without a word about it (built FROM scratch by old tools) may well fit.
  const fits =
    (image.Os === '' || image.Os === 'linux') &&
    (image.Architecture === '' || image.Architecture === arch);
  if (fits) return ok(image.Id);
  return refused(otherPlatform(name, `${image.Os}/${image.Architecture}`, arch));
}

function namesOf(image: ImageListAnswer): readonly string[] {
  const isName = (name: string) => !name.startsWith('<none>');
  return [...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])].filter(isName);
}

function isDiskFull(error: PodmanRefusedError): boolean {
  return /no space left|quota exceeded/i.test(error.reason);
}
