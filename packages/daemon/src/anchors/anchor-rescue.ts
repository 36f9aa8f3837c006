import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import { quorumOf } from '@podmesh/core';
import {
  connectMesh,
  dialMesh,
  type EmbeddedNatsServer,
  gatherStreams,
  greetServer,
  type MeshAddress,
  rescueCluster,
} from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { AnchorSeat } from './anchor-seat.ts';
import { RESCUE_STEP } from './rescue-step.ts';
import type { Seat } from './seat-file.ts';

/** Where it stands; a test ends the daemon after each. */
export type RescueStep = 'noted' | 'agreed' | 'copied' | 'decided' | 'serving';

export interface RescueParts {
  readonly seat: AnchorSeat;
  /** Of the system account. */
  readonly systemAddress: () => Promise<MeshAddress>;
  readonly greet?: typeof greetServer;
  readonly onStep: (step: RescueStep) => void;
  /** What has to be done and could not be: it is tried again. */
  readonly onTrouble: (error: unknown) => void;
  /** Hears what the servers say that do not agree yet. */
  readonly onHeard?: (said: string) => void;
  /** Of the daemon. */
  readonly signal: AbortSignal;
}

const AGAIN_MS = 1_000;
const CONNECT_MS = 60_000;
/** The first that lets go of most of its cluster. */
const SERVER_VERSION_MIN = [2, 15] as const;

/** Those who were lost are back, and go on without what is here: it must not be served beside them. */
export class RescueStoppedError extends Error {
  override readonly name = 'RescueStoppedError';
}

/**
 * Goes on with what one anchor has when most of the others are gone for good. Only somebody who says which ones may ask
 * for it: those who are merely away could go on with the old mesh. From the note `rescuing` on this disk there is no way
 * back: the server never again serves as one of its cluster, and works where nobody reaches it until all that it has
 * can be served alone. Whatever ends meanwhile, it is begun again.
 */
export class AnchorRescue {
  readonly #parts: RescueParts;

  constructor(parts: RescueParts) {
    this.#parts = parts;
  }

  /** Throws a sentence when it may not be. */
  async refuse(lost: readonly PeerId[]): Promise<void> {
    const { seat, greet = greetServer } = this.#parts;
    const at = seat.seat;
    if (at.kind !== 'open' || at.record.cluster === undefined)
      throw new Error(`${seat.peer} is none of several anchors: there is nothing to rescue here`);
    const anchors = anchorsOf(at);
    const isLost = ({ peer }: Anchor): boolean => lost.includes(peer);
    const strange = lost.find((peer) => !anchors.some((anchor) => anchor.peer === peer));
    if (strange !== undefined)
      throw new Error(
        `${strange} is no anchor; those that are: ${anchors.map(({ peer }) => peer).join(', ')}`,
      );
    if (lost.includes(seat.peer))
      throw new Error(`${seat.peer} is here: what it has is what would be rescued`);
    const left = anchors.filter((anchor) => !isLost(anchor));
    if (left.length >= quorumOf(anchors.length))
      throw new Error(
        `without ${lost.join(' and ')} there are ${left.length} of ${anchors.length} anchors, which is enough: nothing has to be ` +
          `rescued. Give its place to another: podmesh anchors replace ${lost[0]} NEW`,
      );
    for (const { peer, client } of anchors.filter(isLost))
      if ((await greet(client)) !== undefined)
        throw new Error(
          `${peer} answers at ${client}: it is not lost, and what only it has would be. Wait until the anchors that are there agree`,
        );
    for (const { peer, client } of left) {
      const greeting = await greet(client);
      if (peer === seat.peer) refuseOldServer(greeting?.version);
      else if (greeting === undefined) throw new Error(silentWords(peer, left.length));
      else if (greeting.cluster !== at.record.cluster)
        throw new Error(
          `${peer} answers at ${client} and is no member of these anchors any more: it may carry the mesh already. ` +
            'Start this daemon again where it reaches it',
        );
    }
  }

  /** Begins; from now on it has to come to its end. */
  async begin(lost: readonly PeerId[]): Promise<void> {
    await this.refuse(lost);
    const { seat, onStep } = this.#parts;
    const at = seat.seat;
    if (at.kind !== 'open') return;
    const { record, attempt } = at;
    const { route: _, ...alone } = ownOf(record, seat.peer);
    const generation = Math.max(record.generation, attempt?.generation ?? 0) + RESCUE_STEP;
    const next = { generation, anchors: [alone] };
    // That of an earlier one would vote for what it knew then.
    await seat.servers.forgetHelper();
    await seat.write({
      ...{ kind: 'rescuing', record, next },
      ...(attempt === undefined ? {} : { attempt }),
    });
    onStep('noted');
  }

  /** Until what was begun has come to its end: also after a start. */
  async finish(): Promise<void> {
    const { seat, signal, onTrouble, onStep } = this.#parts;
    for (;;) {
      try {
        if (seat.seat.kind === 'rescuing') await this.#gather(seat.seat);
        if (seat.seat.kind === 'gathered') await seat.serve();
        await seat.servers.forgetHelper();
        onStep('serving');
        return;
      } catch (error) {
        if (signal.aborted || error instanceof RescueStoppedError) throw error;
        onTrouble(error);
        await systemClock.sleep(AGAIN_MS, signal);
      }
    }
  }

  async #gather(at: Rescuing): Promise<void> {
    const { seat, onStep } = this.#parts;
    const { record, next } = at;
    const store = ownOf(record, seat.peer).server;
    await this.#yieldTo(await this.#back(at), at);
    await seat.stop();
    const servers = await seat.servers.apart(record, store);
    try {
      await Promise.all(servers.map((server) => server.start()));
      await this.#agree(servers, store);
      onStep('copied');
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
    await this.#yieldTo(await this.#back(at), at);
    await seat.write({ kind: 'gathered', record: next, store });
    onStep('decided');
  }

  /** Those of the others who answer as its cluster, where they are enough to go on without this machine. */
  async #back(at: Rescuing): Promise<readonly PeerId[]> {
    const { seat, greet = greetServer } = this.#parts;
    const { record, attempt } = at;
    const others = anchorsOf(at).filter(({ peer }) => peer !== seat.peer);
    const greeted = await Promise.all(
      others.map(async (other) => ({ ...other, cluster: (await greet(other.client))?.cluster })),
    );
    const there = greeted.filter(({ cluster }) => cluster === record.cluster);
    const enough = Math.min(
      ...[record, attempt ?? record].map((one) => quorumOf(sizeOf(one, record))),
    );
    return there.length < enough ? [] : there.map(({ peer }) => peer);
  }

  /** What nobody touched yet is one of theirs again; anything else is never served any more, and kept. */
  async #yieldTo(back: readonly PeerId[], at: Rescuing): Promise<void> {
    const { seat } = this.#parts;
    const { record, attempt } = at;
    const isMoved = !(await seat.servers.hasStore(ownOf(record, seat.peer).server));
    if (back.length === 0 && !isMoved) return;
    const why = `${back.join(' and ')} answer again, and carry the mesh: nothing is rescued`;
    if (!isMoved && !(await seat.servers.wereApart())) {
      await seat.write({ kind: 'open', record, ...(attempt === undefined ? {} : { attempt }) });
      throw new RescueStoppedError(`${why}, and this machine is one of its anchors as before`);
    }
    const kept = await seat.keepAside(record);
    await seat.servers.forgetHelper();
    throw new RescueStoppedError(
      `${isMoved ? 'the others carry the mesh: nothing is rescued' : why}. What was stored here is kept in ${kept}, and this ` +
        `machine is an anchor no more: podmesh anchors replace ${seat.peer} NEW, where the keys of the mesh are, or on one of ` +
        'the others with a copy of the folder authority',
    );
  }

  async #agree(servers: readonly EmbeddedNatsServer[], store: string): Promise<void> {
    const { systemAddress, onStep, onHeard, signal } = this.#parts;
    const [own] = servers;
    if (own === undefined) return;
    const address = { ...(await systemAddress()), servers: [own.served] };
    const system = await dialMesh(address, 'podmesh-rescue', CONNECT_MS);
    const names = servers.map(({ name }) => name);
    await rescueCluster(system, names, signal, onHeard).finally(() => system.close());
    onStep('agreed');
    const mesh = await connectMesh({
      ...{ url: own.address, name: 'podmesh-rescue' },
      timeoutMs: CONNECT_MS,
    });
    await gatherStreams(mesh, store, signal).finally(() => mesh.close());
  }
}

type Rescuing = Extract<Seat, { kind: 'rescuing' }>;

/** Also those of an exchange that came to no end: each may vote already. */
function anchorsOf({ record, attempt }: Pick<Rescuing, 'record' | 'attempt'>): readonly Anchor[] {
  const known = attempt?.cluster === record.cluster ? (attempt?.anchors ?? []) : [];
  const isNew = ({ server }: Anchor) => record.anchors.every((one) => one.server !== server);
  return [...record.anchors, ...known.filter(isNew)];
}

/** How many vote by this record, where it is one of the cluster's. */
const sizeOf = ({ cluster, anchors }: AnchorRecord, of: AnchorRecord): number =>
  (cluster === of.cluster ? anchors : of.anchors).length;

/** Two who both go on alone can be told by nobody: whoever is merely cut off must not be named lightly. */
const silentWords = (peer: PeerId, left: number): string =>
  `${peer} does not answer, and is not named as lost: start it` +
  (left > 2
    ? ''
    : ', or name it if it is gone for good, too: were it only cut off, it could do the same');

/** Where nothing can be asked, the rescue itself says so. */
function refuseOldServer(version: string | undefined): void {
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number);
  const [wantedMajor, wantedMinor] = SERVER_VERSION_MIN;
  if (version === undefined || major > wantedMajor) return;
  if (major === wantedMajor && minor >= wantedMinor) return;
  throw new Error(
    `the nats-server here is ${version}, and cannot go on without most of its cluster: put nats-server ` +
      `${wantedMajor}.${wantedMinor} or newer in its place, start the daemon again, and ask once more`,
  );
}

function ownOf({ anchors }: AnchorRecord, peer: PeerId): Anchor {
  const own = anchors.find((anchor) => anchor.peer === peer);
  if (own === undefined) throw new Error(`${peer} is none of the anchors`);
  return own;
}
