import type { StartProblem } from '@podmesh/core';
import type { ImageAnswer, RecipeAnswer } from './podman-answers.ts';
import type { PodmanImageApi } from './podman-image-api.ts';
import { IMAGES_REMEMBERED_MAX } from './podman-limits.ts';

/**
 * Names that an OCI runtime takes for orders, whoever wrote them. crun's own list of unsafe ones comes
 * first (`potentially_unsafe_annotations` in its container.c); systemd properties it and runc take; kata,
 * gVisor, NVIDIA's runtime and the hook that traces system calls follow. Podman keeps its own
 * (`io.podman.annotations.`) from images, and writes them itself.
 */
const ORDERS = [
  'run.oci.',
  'org.criu.',
  'module.wasm.',
  'io.kubernetes.',
  'krun.',
  'org.systemd.property.',
  'io.katacontainers.',
  'dev.gvisor.',
  'cdi.k8s.io/',
  'nvidia.cdi.k8s.io/',
  'io.containers.',
];

/** Names that a message quotes, and characters of each. */
const NAMES_SHOWN_MAX = 5;
const NAME_CHARACTERS_MAX = 100;

type Annotations = Readonly<Record<string, string>>;

/** Those names among a container's or an image's annotations that change how the container is run. */
export function ordersAmong(annotations: Annotations | null | undefined): string[] {
  return Object.keys(annotations ?? {}).filter((name) =>
    ORDERS.some((one) => name.startsWith(one)),
  );
}

/** An image as it was when it was looked at. */
export interface SeenImage {
  readonly id: string;
  readonly config?: ImageAnswer['Config'] | undefined;
  readonly annotations?: Annotations | null | undefined;
  /** `PodmanImageApi.arrivals` of that moment. */
  readonly arrivals: number;
}

/** What the check asks of Podman; the real one is `PodmanApi`. */
export interface ImageWitness {
  readonly images: Pick<PodmanImageApi, 'inspect' | 'arrivals' | 'isQuietSince'>;
  inspectRecipe(container: string): Promise<RecipeAnswer>;
}

/**
 * Sees to it that no image gives orders to crun. Podman before 4.6 hands an image's annotations on, with
 * which it can put a seccomp filter of its own in the place of Podman's. An id says nothing of them: it is
 * the digest of the configuration, and the manifest that came last speaks for all that share it. So what
 * counts is what Podman made of one container, and that is believed of later ones until something new came
 * into the store. Costs one request for the first container of an image, and none for the others.
 */
export class ImageCheck {
  readonly #podman: ImageWitness;
  readonly #seen = new Map<string, SeenImage>();
  /** Whose containers had no orders. */
  readonly #clean = new WeakSet<SeenImage>();

  constructor(podman: ImageWitness) {
    this.#podman = podman;
  }

  /** To be called before the container is created, which says so of an image that is gone. */
  async look(id: string): Promise<SeenImage> {
    const { images } = this.#podman;
    const known = this.#seen.get(id);
    if (known !== undefined && images.isQuietSince(known.arrivals)) return known;
    const { arrivals } = images;
    const answer = await images.inspect(id);
    if (answer === undefined) return { id, arrivals };
    const { Config: config, Annotations: annotations } = answer;
    const seen = { id, arrivals, config, annotations };
    if (this.#seen.size >= IMAGES_REMEMBERED_MAX) this.#seen.clear();
    this.#seen.set(id, seen);
    return seen;
  }

  /** To be called between creating the container and making crun read its configuration. */
  async check(seen: SeenImage, container: string): Promise<StartProblem | undefined> {
    const { images } = this.#podman;
    if (this.#clean.has(seen) && images.isQuietSince(seen.arrivals)) return undefined;
    // Asked before the next answer is awaited: what arrives from now on is not in this container.
    const isQuiet = images.isQuietSince(seen.arrivals);
    const orders = ordersAmong((await this.#podman.inspectRecipe(container)).Config?.Annotations);
    if (orders.length > 0) {
      const now = await images.inspect(seen.id);
      const brought = { ...seen.annotations, ...now?.Annotations };
      const own = orders.filter((name) => Object.hasOwn(brought, name));
      if (own.length > 0) return orderProblem(seen.id, own);
      // The rest is the machine owner's, from containers.conf, unless the image changed twice meanwhile.
      if (!isQuiet) return changedProblem(seen.id, orders);
    }
    if (isQuiet) this.#clean.add(seen);
    return undefined;
  }

  /** Somebody else may have brought another manifest for an image: an answer that is there anyway tells. */
  notice({ Id, Annotations }: ImageAnswer): void {
    if (ordersAmong(Annotations).length > 0) this.#seen.delete(Id);
  }
}

/** As `command`, because no other machine and no other time would make it right. */
function orderProblem(image: string, orders: readonly string[]): StartProblem {
  const message =
    `image ${image} brings annotations that are orders to the container runtime, and no image may ` +
    `give any: ${named(orders)}. Build it again without them; Podman 4.6 and later ignores them`;
  return { kind: 'command', message };
}

function changedProblem(image: string, orders: readonly string[]): StartProblem {
  const message =
    `a container of image ${image} got the annotations ${named(orders)}, and other images came ` +
    'meanwhile, so whose they are is not known. It can be tried again';
  return { kind: 'runtime', message };
}

/** Quoted, because they are whatever the image's maker wrote. */
function named(orders: readonly string[]): string {
  const shown = orders.slice(0, NAMES_SHOWN_MAX).map((name) => {
    return JSON.stringify(name.slice(0, NAME_CHARACTERS_MAX));
  });
  const more = orders.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
