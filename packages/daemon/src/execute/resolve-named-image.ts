import { type ContainerRuntime, isDigest, type Offer } from '@podmesh/core';
import { AttemptFailure } from './attempt-failure.ts';

/** The local image id of a reference or digest, asking the machine's own registries if it has any. */
export async function resolveNamedImage(
  runtime: ContainerRuntime,
  image: Exclude<Offer['image'], { kind: 'archive' }>,
  signal: AbortSignal,
): Promise<string> {
  const name = image.kind === 'digest' ? image.digest : image.reference;
  const found = await runtime.resolveImage(name, false, signal);
  if (found.ok) return found.value;
  const reference = image.kind === 'digest' ? (image.reference ?? name) : name;
  const pulled = isLocal(reference) ? found : await runtime.resolveImage(reference, true, signal);
  if (!pulled.ok) {
    const kind = pulled.error.kind === 'platform' ? 'image-platform' : 'image-unavailable';
    throw new AttemptFailure(kind, pulled.error.message);
  }
  if (image.kind === 'digest' && pulled.value !== image.digest) {
    throw new AttemptFailure(
      'image-unavailable',
      `${reference} is ${pulled.value} here, the run wants ${image.digest}; the tag was moved`,
    );
  }
  return pulled.value;
}

/** An id, or a name that Podman gives to what was built here: no registry could have it. */
function isLocal(reference: string): boolean {
  return isDigest(reference) || reference.startsWith('localhost/');
}
