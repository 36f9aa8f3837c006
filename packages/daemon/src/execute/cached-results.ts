import {
  type ActionDigest,
  type ContainerRuntime,
  digestAction,
  isSettledByPeer,
  type Machine,
  type Offer,
  type Sha256,
  type TaskResult,
} from '@podmesh/core';
import { KnownResults, type KnownResultsParts } from '../store/known-results.ts';
import { pinnedImage, resolveNamedImage } from './resolve-named-image.ts';

export interface CachedResultsParts extends KnownResultsParts {
  readonly runtime: ContainerRuntime;
  readonly machine: () => Machine;
  readonly sha256: Sha256;
}

/** The result cache as an attempt sees it: by its offer and the image that this means here. */
export class CachedResults {
  readonly #parts: CachedResultsParts;
  readonly #known: KnownResults;

  constructor(parts: CachedResultsParts) {
    this.#parts = parts;
    this.#known = new KnownResults(parts);
  }

  actionOf(offer: Offer, image: string): ActionDigest {
    const { machine, sha256 } = this.#parts;
    return digestAction(offer, image, `linux/${machine().arch}`, sha256);
  }

  /** The image id, where it is in Podman's store already; undefined: the attempt finds out, and may pull. */
  async knownImage(offer: Offer, stop: AbortSignal): Promise<string | undefined> {
    const { image } = offer;
    if (image.kind !== 'reference') return undefined;
    try {
      const { arch } = this.#parts.machine();
      return await resolveNamedImage(this.#parts.runtime, image, {
        arch,
        pull: false,
        signal: stop,
      });
    } catch {
      // The attempt itself meets the same problem, and has a place to report it.
      return undefined;
    }
  }

  /** The image id that the offer means on this machine, whether the image is here or not. */
  pinnedImage({ image }: Offer): string | undefined {
    return image.kind === 'archive' ? undefined : pinnedImage(image, this.#parts.machine().arch);
  }

  /** A result that makes the attempt needless. Only looked for where the driver could not know the image. */
  async findBefore(
    offer: Offer,
    image: string,
  ): Promise<{ readonly action: ActionDigest; readonly result: TaskResult } | undefined> {
    if (!offer.cache || offer.image.kind !== 'reference' || isSettledByPeer(offer))
      return undefined;
    const action = this.actionOf(offer, image);
    const result = (await this.#known.find([action])).get(action);
    return result && { action, result };
  }

  /** Of an offer all of whose inputs are known by now. */
  async find(offer: Offer, image: string): Promise<TaskResult | undefined> {
    const action = this.actionOf(offer, image);
    return (await this.#known.find([action])).get(action);
  }

  async record(offer: Offer, result: TaskResult): Promise<void> {
    await this.#known.record(this.actionOf(offer, result.image), result);
  }
}
