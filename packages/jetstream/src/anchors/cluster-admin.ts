import type { Msg } from '@nats-io/transport-node';
import { type MeshConnection, monotonicMs } from '../mesh-connection.ts';
import { MeshAnswerError, MeshSilentError } from '../mesh-errors.ts';
import { isAborted, pause } from '../pause.ts';
import { isPassing, portError } from '../port-error.ts';
import { EVACUATE_SUBJECT, REMOVE_SERVER_SUBJECT, SERVERS_SUBJECT } from '../subjects.ts';

/** One voter, as the cluster sees it. */
export interface ClusterMember {
  readonly server: string;
  readonly current: boolean;
  readonly offline: boolean;
}

/** The cluster as one of its servers tells; without a leader it can agree on nothing. */
export interface ClusterState {
  readonly leader: string | undefined;
  readonly members: readonly ClusterMember[];
}

/** A server that answered. */
export interface LiveServer {
  readonly server: string;
  readonly version: string;
  /** Its clock when it answered, milliseconds since 1970. */
  readonly clockMs: number;
  readonly storeBytes: number;
  readonly storeBytesMax: number;
  readonly cluster: ClusterState | undefined;
}

const ANSWER_MS = 5_000;
/** Every server answers within this, or counts as silent. */
const SURVEY_MS = 1_000;
const LOOK_MS = 200;
const SILENT_TIMES = 5;
/** Another server is just being taken in or out. */
const MEMBERS_CHANGING = 10202;
const NOT_A_MEMBER = 10044;
/** Through an election. */
const ORDER_MS = 30_000;
/** A server that has to be given all that there is may take its time. */
const JOIN_MS = 60_000;

/**
 * Orders to a cluster of nats-servers, over a connection of its system account. All are safe to repeat. Needs 2.15:
 * EVACUATE and REMOVE are of that version (NATS.md §4.4).
 */
export class ClusterAdmin {
  readonly #system: MeshConnection;

  constructor(system: MeshConnection) {
    this.#system = system;
  }

  /** Every server that answers now. */
  async survey(): Promise<readonly LiveServer[]> {
    const found = new Map<string, LiveServer>();
    const answers = await this.#system.nc.requestMany(SERVERS_SUBJECT, '{}', {
      maxWait: SURVEY_MS,
      strategy: 'timer',
    });
    for await (const answer of answers) {
      const live = readServer(answer.json<ServerTold>());
      if (live !== undefined) found.set(live.server, live);
    }
    return [...found.values()];
  }

  /** Who votes, answering or not; throws while there is no leader to tell. */
  async members(): Promise<readonly ClusterMember[]> {
    let found: readonly ClusterMember[] = [];
    await this.#until('a leader of the cluster', JOIN_MS, undefined, ({ members }) => {
      found = members;
      return true;
    });
    return found;
  }

  /** Whether a server answers; only one that is silent several times does not. */
  async answers(server: string): Promise<boolean> {
    for (let tries = 0; tries < SILENT_TIMES; tries += 1)
      if ((await this.survey()).some((live) => live.server === server)) return true;
    return false;
  }

  /** Resolves when all of these vote and have everything of the cluster's own state. */
  async untilMembers(
    servers: readonly string[],
    signal?: AbortSignal,
    patienceMs = JOIN_MS,
  ): Promise<void> {
    await this.#until(`${servers.join(', ')} to be in the cluster`, patienceMs, signal, (state) =>
      servers.every((name) =>
        state.members.some(
          ({ server, current, offline }) => server === name && current && !offline,
        ),
      ),
    );
  }

  /** Moves everything off a server that works; the others get it while everybody goes on. */
  async evacuate(server: string): Promise<void> {
    await this.#ask(EVACUATE_SUBJECT, { peer: server });
  }

  /** Takes a server out of the cluster for good; its streams get another place if there is one. */
  async remove(server: string): Promise<void> {
    if (await this.#hasLeft(server)) return;
    await this.#ask(REMOVE_SERVER_SUBJECT, { peer: server }).catch((error: unknown) => {
      // What the servers tell of themselves may be older than what their leader knows.
      if (!(error instanceof MeshAnswerError && error.code === NOT_A_MEMBER)) throw error;
    });
  }

  async #hasLeft(server: string): Promise<boolean> {
    const { members } = (await this.#state()) ?? { members: [] };
    return members.length > 0 && members.every((member) => member.server !== server);
  }

  async #state(): Promise<ClusterState | undefined> {
    const states = (await this.survey()).flatMap(({ cluster }) => cluster ?? []);
    return states.find(({ leader, members }) => leader !== undefined && members.length > 0);
  }

  async #until(
    what: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    isSo: (state: ClusterState) => boolean,
  ): Promise<void> {
    const deadline = monotonicMs() + timeoutMs;
    for (;;) {
      const state = await this.#state();
      if (state !== undefined && isSo(state)) return;
      if (monotonicMs() > deadline || isAborted(signal))
        throw new MeshSilentError(`waited in vain for ${what}`);
      await pause(LOOK_MS, signal);
    }
  }

  /** All of these orders may be repeated; a leader that was elected just now may not answer yet. */
  async #ask(subject: string, order: object): Promise<void> {
    const deadline = monotonicMs() + ORDER_MS;
    for (;;) {
      const said = await this.#askOnce(subject, order);
      if (said === 'done') return;
      if (monotonicMs() > deadline) throw said;
      await pause(LOOK_MS);
    }
  }

  /** Throws what will not pass; what may is returned. */
  async #askOnce(subject: string, order: object): Promise<'done' | Error> {
    let answer: Msg;
    try {
      const options = { timeoutMs: ANSWER_MS };
      answer = await this.#system.request(subject, JSON.stringify(order), options);
    } catch (error) {
      return portError(subject, error);
    }
    const { error } = answer.json<{ error?: { err_code?: number; description?: string } }>();
    if (error === undefined) return 'done';
    const { err_code: code = 0, description = 'no reason given' } = error;
    const refusal = new MeshAnswerError(subject, { code, description });
    if (isPassing(code) || code === MEMBERS_CHANGING) return refusal;
    throw refusal;
  }
}

interface ServerTold {
  readonly server?: { readonly name?: string; readonly ver?: string; readonly time?: string };
  readonly data?: {
    readonly config?: { readonly max_storage?: number };
    readonly storage?: number;
    readonly meta_cluster?: {
      readonly leader?: string;
      readonly replicas?: readonly {
        readonly name?: string;
        readonly current?: boolean;
        readonly offline?: boolean;
      }[];
    };
  };
}

/** Only the leader lists the others; it is a member itself. */
function readServer({ server, data }: ServerTold): LiveServer | undefined {
  const { name, ver, time } = server ?? {};
  if (name === undefined || data === undefined) return undefined;
  const { meta_cluster: meta, storage = 0, config } = data;
  const others = (meta?.replicas ?? []).map((replica) => ({
    server: replica.name ?? '',
    current: replica.current === true,
    offline: replica.offline === true,
  }));
  const { leader } = meta ?? {};
  const self = leader === undefined ? [] : [{ server: leader, current: true, offline: false }];
  const cluster = meta && { leader, members: leader === name ? [...others, ...self] : [] };
  return {
    server: name,
    version: ver ?? '0',
    clockMs: Date.parse(time ?? ''),
    storeBytes: storage,
    storeBytesMax: config?.max_storage ?? 0,
    cluster,
  };
}
