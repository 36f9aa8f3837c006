import type { StartProblem } from '@podmesh/core';
import type { RecipeAnswer } from './podman-answers.ts';
import type { PodmanImageApi } from './podman-image-api.ts';

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

/** What the check asks of Podman; the real one is `PodmanApi`. */
export interface ImageWitness {
  readonly images: Pick<PodmanImageApi, 'inspect' | 'isQuietSince'>;
  inspectRecipe(container: string): Promise<RecipeAnswer>;
}

/** A container that was created and not yet initialised. */
export interface MadeContainer {
  readonly id: string;
  /** The id of its image. */
  readonly image: string;
  /** `PodmanImageApi.arrivals` from before the container was created. */
  readonly arrivals: number;
}

/** Whether that Podman hands an image's annotations on, as those before 4.6 do; of an unknown one yes. */
export function handsAnnotationsOn(version: string): boolean {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(.*)$/.exec(version) ?? [];
  if (major === undefined || minor === undefined) return true;
  if (Number(major) !== 4) return Number(major) < 4;
  // What came before 4.6.0 itself, such as 4.6.0-dev, may not have it yet.
  return Number(minor) < 6 || (Number(minor) === 6 && /^0-/.test(patch ?? ''));
}

/**
 * Sees to it that no image gives orders to crun, with which it can put a seccomp filter of its own in the
 * place of Podman's. An id says nothing of an image's annotations: it is the digest of the configuration, and
 * any process of this user may bring another manifest for it at any time. So each container is looked at
 * after it was created, when Podman has written its annotations down for good, and before crun reads them;
 * nothing is remembered. Costs one request, and a second one only where there are orders: it tells those of
 * the image from those of containers.conf, which are the machine owner's and stay. A manifest that comes and
 * is replaced within the milliseconds between is noticed only when it came through this process.
 */
export async function checkAnnotations(
  podman: ImageWitness,
  { id, image, arrivals }: MadeContainer,
): Promise<StartProblem | undefined> {
  const orders = ordersAmong((await podman.inspectRecipe(id)).Config?.Annotations);
  if (orders.length === 0) return undefined;
  const brought = (await podman.images.inspect(image))?.Annotations ?? {};
  const own = orders.filter((name) => Object.hasOwn(brought, name));
  if (own.length > 0) return orderProblem(image, own);
  return podman.images.isQuietSince(arrivals) ? undefined : changedProblem(image, orders);
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
