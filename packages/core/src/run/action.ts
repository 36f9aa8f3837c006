import type { JobSecrets } from '../external/secrets.ts';
import type { OutputRef } from '../graph/graph.ts';
import { canonicalJson, type Sha256 } from '../words/digest.ts';
import { type ActionDigest, type ArtifactId, actionDigest } from '../words/ids.ts';
import type { Offer } from './offer.ts';

/** All that decides what comes out of a task (DESIGN §7). Not in it: run, task, requirements, retries. */
export interface Action {
  /** Image id, or the digest of the image archive: equal text, equal bytes. */
  readonly image: string;
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly inputs: Readonly<Record<string, ArtifactId>>;
  readonly mountAt?: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, OutputRef>>;
  /** The names of secrets, never their values: who gives another value chooses another name. */
  readonly secrets?: JobSecrets;
  readonly net: boolean;
  /** `linux/amd64`, … */
  readonly platform: string;
}

/**
 * The key of an offer's result in the result cache. `image` is the image id where the offer only
 * names a reference; an archive counts by its own digest, so that it need not be loaded to know.
 */
export function digestAction(
  offer: Pick<
    Offer,
    'image' | 'command' | 'env' | 'inputs' | 'mountAt' | 'outputs' | 'secrets' | 'net'
  >,
  image: string,
  platform: string,
  sha256: Sha256,
): ActionDigest {
  const inputs: Record<string, ArtifactId> = {};
  for (const [name, artifact] of Object.entries(offer.inputs)) inputs[name] = artifact.digest;
  const action: Action = {
    image: offer.image.kind === 'archive' ? offer.image.archive : image,
    ...(offer.command === undefined ? {} : { command: offer.command }),
    env: offer.env,
    inputs,
    ...(offer.mountAt === undefined ? {} : { mountAt: offer.mountAt }),
    outputs: offer.outputs,
    ...(offer.secrets === undefined ? {} : { secrets: offer.secrets }),
    net: offer.net,
    platform,
  };
  return actionDigest(`sha256:${sha256(canonicalJson({ podmeshAction: 1, ...action }))}`);
}
