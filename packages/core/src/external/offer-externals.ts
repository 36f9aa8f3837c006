import type { Graph, Job } from '../graph/graph.ts';
import type { Offer } from '../run/offer.ts';
import type { TaskResult } from '../run/run-event.ts';
import { secretsNamed } from './secrets.ts';
import { placeOfElement, type StorePlace } from './store-place.ts';

type Externals = Pick<Offer, 'sources' | 'deliveries' | 'secrets' | 'secretRefs'>;

/** What an attempt needs to know of stores and secrets; of most jobs nothing. */
export function offerExternals(graph: Graph, job: Job, element: number | undefined): Externals {
  const sources: Record<string, StorePlace> = {};
  for (const [name, input] of Object.entries(job.inputs)) {
    if (input.kind === 'external') sources[name] = input.place;
  }
  const hasSources = Object.keys(sources).length > 0;
  const { deliveries, secrets } = job;
  if (!hasSources && deliveries === undefined && secrets === undefined) return {};
  const places = [...Object.values(sources), ...Object.values(deliveries ?? {})];
  const refs = secretsNamed(secrets, places).flatMap((name) => {
    const ref = graph.secrets?.[name];
    return ref === undefined ? [] : [[name, ref] as const];
  });
  return {
    ...(hasSources ? { sources } : {}),
    ...(deliveries === undefined ? {} : { deliveries: ofElement(deliveries, element) }),
    ...(secrets === undefined ? {} : { secrets }),
    ...(refs.length === 0 ? {} : { secretRefs: Object.fromEntries(refs) }),
  };
}

/** Whether only the peer that makes the attempt can say what its result is, or has something to deliver. */
export function isSettledByPeer({
  sources,
  inputs,
  deliveries,
}: Pick<Offer, 'sources' | 'inputs' | 'deliveries'>): boolean {
  if (deliveries !== undefined) return true;
  return Object.keys(sources ?? {}).some((name) => !Object.hasOwn(inputs, name));
}

/** The offer with inputs of which it did not know yet what they are; of them only the digest is told. */
export function withInputs(offer: Offer, inputs: TaskResult['inputs']): Offer {
  if (offer.sources === undefined) return offer;
  const found = Object.entries(inputs).map(
    ([name, digest]) =>
      [name, { digest, kind: 'file' as const, bytes: 0, ...offer.inputs[name] }] as const,
  );
  return { ...offer, inputs: Object.fromEntries(found) };
}

function ofElement(
  deliveries: NonNullable<Job['deliveries']>,
  element: number | undefined,
): NonNullable<Offer['deliveries']> {
  return Object.fromEntries(
    Object.entries(deliveries).map(([name, place]) => [name, placeOfElement(place, element)]),
  );
}
