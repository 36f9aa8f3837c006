import { type MeshConnection, monotonicMs } from '../mesh-connection.ts';
import { MeshSilentError } from '../mesh-errors.ts';
import { isAborted, pause } from '../pause.ts';
import { REMOVE_SERVER_SUBJECT, RESCUE_SUBJECT, SERVERS_SUBJECT } from '../subjects.ts';

const RESCUED_MS = 120_000;
const SURVEY_MS = 500;
const ASK_MS = 5_000;

interface MetaCluster {
  readonly leader?: string;
  readonly replicas?: readonly { readonly name?: string; readonly peer?: string }[];
}

/**
 * Lets the servers that answer agree again although most of their cluster are gone, and takes out for good all but those
 * that are kept. For servers that nobody else reaches: whoever is taken out could come back. Needs 2.15 (NATS.md §4.4);
 * safe to repeat, also after a restart of all of them. Throws a retryable error.
 */
export async function rescueCluster(
  system: MeshConnection,
  kept: readonly string[],
  signal?: AbortSignal,
  /** Hears, once each, what servers say to it that do not do it yet. */
  onHeard: (said: string) => void = () => undefined,
): Promise<void> {
  const heard = new Set<string>();
  const ask = async (subject: string, order: object): Promise<void> => {
    const said = await refusalOf(system, subject, order);
    if (said === undefined || heard.has(said)) return;
    heard.add(said);
    onHeard(said);
  };
  const deadline = monotonicMs() + RESCUED_MS;
  for (;;) {
    const meta = await ledCluster(system);
    const others = (meta?.replicas ?? []).filter(({ name = '' }) => !kept.includes(name));
    if (meta !== undefined && others.length === 0) return;
    if (monotonicMs() > deadline || isAborted(signal))
      throw new MeshSilentError(`${kept.join(' and ')} do not agree without the others`);
    if (meta === undefined) await ask(RESCUE_SUBJECT, { quorum_needed: 1 });
    // Nobody knows the name of a server that did not answer since the start: its id in the cluster is told.
    for (const { peer } of others) await ask(REMOVE_SERVER_SUBJECT, { peer: '', peer_id: peer });
    await pause(SURVEY_MS, signal);
  }
}

async function ledCluster(system: MeshConnection): Promise<MetaCluster | undefined> {
  const answers = await system.nc.requestMany(SERVERS_SUBJECT, '{}', {
    maxWait: SURVEY_MS,
    strategy: 'timer',
  });
  let found: MetaCluster | undefined;
  for await (const answer of answers) {
    const { server, data } = answer.json<{
      server?: { name?: string };
      data?: { meta_cluster?: MetaCluster };
    }>();
    const meta = data?.meta_cluster;
    // Only the leader lists the others.
    if (meta?.leader !== undefined && meta.leader === server?.name) found = meta;
  }
  return found;
}

/** Refused while one that is gone is still remembered as the leader: it is asked again. Undefined where it was done. */
async function refusalOf(
  system: MeshConnection,
  subject: string,
  order: object,
): Promise<string | undefined> {
  try {
    const answer = await system.request(subject, JSON.stringify(order), { timeoutMs: ASK_MS });
    const { error } = answer.json<{ error?: { description?: string } }>();
    return error === undefined ? undefined : `${subject}: ${error.description ?? 'refused'}`;
  } catch (error) {
    return `${subject}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
