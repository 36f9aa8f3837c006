import type { Graph } from './graph.ts';

/** Image ids by architecture. */
export type ImagePins = Readonly<Record<string, string>>;

/** A machine and the images it holds: id → references. */
export interface ImageHolder {
  readonly name: string;
  readonly arch: string;
  readonly images: Readonly<Record<string, readonly string[]>>;
}

/** Machines of one architecture mean different images by a reference. */
export interface PinDisagreement {
  readonly arch: string;
  /** The id that was taken. */
  readonly taken: string;
  /** Every id with the names of the machines that mean it, the taken one first. */
  readonly meanings: readonly { readonly image: string; readonly holders: readonly string[] }[];
}

export interface Pinning {
  readonly pins: ImagePins;
  readonly disagreements: readonly PinDisagreement[];
}

/**
 * What a reference means now, by architecture. Where machines disagree the publisher's own counts, else what most
 * of them mean, and of equals the smaller id, so that everybody who asks finds the same.
 */
export function pinReference(
  reference: string,
  holders: readonly ImageHolder[],
  own?: ImageHolder,
): Pinning {
  const pins: Record<string, string> = {};
  const disagreements: PinDisagreement[] = [];
  // What the mesh was told of the publisher's own machine is older than what it says itself.
  const others = holders.filter(({ name }) => name !== own?.name);
  const all = own === undefined ? others : [own, ...others];
  for (const arch of [...new Set(all.map((holder) => holder.arch))].sort()) {
    const meanings = meaningsOf(
      reference,
      all.filter((holder) => holder.arch === arch),
    );
    const ownsIt = own?.arch === arch ? own.name : undefined;
    meanings.sort((a, b) => {
      if (ownsIt !== undefined && a.holders.includes(ownsIt)) return -1;
      if (ownsIt !== undefined && b.holders.includes(ownsIt)) return 1;
      return b.holders.length - a.holders.length || (a.image < b.image ? -1 : 1);
    });
    const taken = meanings[0]?.image;
    if (taken === undefined) continue;
    pins[arch] = taken;
    if (meanings.length > 1) disagreements.push({ arch, taken, meanings });
  }
  return { pins, disagreements };
}

/** The distinct references of a graph that are not pinned yet, in the order of its jobs. */
export function unpinnedReferences({ jobs }: Graph): readonly string[] {
  const references = new Set<string>();
  for (const { container } of jobs) {
    if (container.kind === 'reference' && container.pins === undefined) {
      references.add(container.reference);
    }
  }
  return [...references];
}

/** The graph with what is known of its references; those that nobody knows stay as they are. */
export function pinGraph(graph: Graph, pins: ReadonlyMap<string, ImagePins>): Graph {
  const jobs = graph.jobs.map((job) => {
    const { container } = job;
    if (container.kind !== 'reference' || container.pins !== undefined) return job;
    const known = pins.get(container.reference) ?? {};
    if (Object.keys(known).length === 0) return job;
    return { ...job, container: { ...container, pins: known } };
  });
  return { ...graph, jobs };
}

/** The whole names that Podman may list an image under which somebody calls `reference`. */
export function imageNames(reference: string): readonly string[] {
  const hasTag = reference.includes('@') || reference.lastIndexOf(':') > reference.lastIndexOf('/');
  const tagged = hasTag ? reference : `${reference}:latest`;
  return [reference, tagged, `localhost/${tagged}`];
}

function meaningsOf(
  reference: string,
  holders: readonly ImageHolder[],
): { image: string; holders: string[] }[] {
  const names = imageNames(reference);
  const found = new Map<string, string[]>();
  for (const { name, images } of holders) {
    for (const [image, references] of Object.entries(images)) {
      if (!references.some((one) => names.includes(one))) continue;
      const before = found.get(image);
      if (before === undefined) found.set(image, [name]);
      else before.push(name);
    }
  }
  return [...found].map(([image, names]) => ({ image, holders: names }));
}
