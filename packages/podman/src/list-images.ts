import type { ImageListAnswer } from './podman-answers.ts';
import { PodmanRefusedError } from './podman-errors.ts';

/** Images that are left out at most: of a store with more of them the refusal is the answer. */
export const BROKEN_IMAGES_MAX = 32;

/** An image that Podman cannot tell anything of, and its words about it. */
export interface BrokenImage {
  readonly id: string;
  readonly reason: string;
}

/** Podman's list, of images that were made between two others; both by id. */
export type AskForImages = (between: {
  readonly since?: string;
  readonly before?: string;
}) => Promise<readonly ImageListAnswer[]>;

/**
 * All images but broken ones. One that Podman cannot read (a torn manifest, a layer that is gone) makes it refuse the whole
 * list, and name that one: then those that are older and those that are newer are asked for. What was made in the very
 * same moment as a broken one is left out with it.
 */
export async function listAround(ask: AskForImages): Promise<{
  readonly images: readonly ImageListAnswer[];
  readonly broken: readonly BrokenImage[];
}> {
  const broken: BrokenImage[] = [];
  const list = async (
    between: Parameters<AskForImages>[0],
  ): Promise<readonly ImageListAnswer[]> => {
    try {
      return await ask(between);
    } catch (error) {
      const found = brokenIn(error);
      const isKnown = broken.some(({ id }) => id === found?.id);
      if (found === undefined || isKnown || broken.length >= BROKEN_IMAGES_MAX) throw error;
      broken.push(found);
      const older = await list({ ...between, before: found.id });
      return [...older, ...(await list({ ...between, since: found.id }))];
    }
  };
  return { images: await list({}), broken };
}

/** "retrieving label for image \"<id>\": you may need to remove the image to resolve the error: …" */
function brokenIn(error: unknown): BrokenImage | undefined {
  if (!(error instanceof PodmanRefusedError) || error.status < 500) return undefined;
  const id = /image "(?:sha256:)?([0-9a-f]{64})"/.exec(error.reason)?.[1];
  return id === undefined ? undefined : { id: `sha256:${id}`, reason: error.reason };
}
