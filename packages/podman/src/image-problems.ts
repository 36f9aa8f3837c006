import { type ImageProblem, isDigest } from '@podmesh/core';

/** An id, or a name that Podman gives to what was built on the machine: no registry could have it. */
export function isUnpullable(reference: string): boolean {
  return isDigest(reference) || reference.startsWith('localhost/');
}

/** The beginning of every message about an image that is not here. */
export function looked(reference: string): string {
  return `image ${reference} is not in Podman's store of this machine`;
}

/** Not in the store, and nobody else was asked. */
export function notHere(reference: string): ImageProblem {
  return { kind: 'unavailable', message: `${looked(reference)}${whyNotPulled(reference)}` };
}

/** Asked for at `registries` and not got; `reason` in Podman's own words. */
export function notPulled(
  reference: string,
  arch: string,
  reason: string,
  registries: readonly string[],
): ImageProblem {
  if (/no image found in (manifest list|image index)/i.test(reason)) {
    const found = `image ${reference} at ${registries.join(', ')} is not for linux/${arch}`;
    const message = `${found}, which this machine is: ${reason}`;
    return { kind: 'platform', message };
  }
  if (registries.length === 0 && /short-name|unqualified-search/i.test(reason)) {
    const none = 'no registry is configured on it for names without one';
    const advice = 'Give the whole name with its registry, or build it here: podmesh image build';
    return {
      kind: 'unavailable',
      message: `${looked(reference)}, and ${none}: ${reason}. ${advice}`,
    };
  }
  const asked =
    registries.length === 0 ? "where this machine's alias points" : registries.join(', ');
  const tried = `could not be pulled from ${asked}: ${reason}`;
  const message = `${looked(reference)}, and ${tried}. ${adviceFor(reason, registries)}`;
  return { kind: 'unavailable', message };
}

/** Of an image that is in the store. */
export function otherPlatform(reference: string, platform: string, arch: string): ImageProblem {
  const found = `image ${reference} in Podman's store of this machine is for ${platform}`;
  const advice = `Build or pull it for linux/${arch}, or let the job ask for such a machine (needs.arch)`;
  const message = `${found}, and the machine is linux/${arch}. ${advice}`;
  return { kind: 'platform', message };
}

function whyNotPulled(reference: string): string {
  if (isDigest(reference)) {
    return '. Only a name can be pulled, not an id: name the image, or build or load it here';
  }
  if (reference.startsWith('localhost/')) {
    return (
      ', and no registry can have it, since "localhost/" means built here. ' +
      `Build it: podmesh image build DIR --tag ${reference}`
    );
  }
  return `; registries were not asked. Build it here, or pull it: podman pull ${reference}`;
}

function adviceFor(reason: string, [registry = '']: readonly string[]): string {
  if (/unauthorized|denied|authentication/i.test(reason)) {
    return `If the name is right, log in on this machine: podman login ${registry}`;
  }
  return 'Check the name and that the registry can be reached, or build the image here: podmesh image build';
}
