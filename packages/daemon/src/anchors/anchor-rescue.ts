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
  /** Of the daemon. */
  readonly signal: AbortSignal;
}

const AGAIN_MS = 1_000;
const CONNECT_MS = 60_000;

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
    const { anchors } = at.record;
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
    for (const { peer, client } of left)
      if (peer !== seat.peer && (await greet(client)) === undefined)
        throw new Error(`${peer} does not answer, and is not named as lost: start it, or name it`);
  }

  /** Begins; from now on it has to come to its end. */
  async begin(lost: readonly PeerId[]): Promise<void> {
    await this.refuse(lost);
    const { seat, onStep } = this.#parts;
    const at = seat.seat;
    if (at.kind !== 'open') return;
    const { record, attempt } = at;
    const { route: _, ...alone } = ownOf(record, seat.peer);
    const generation = Math.max(record.generation, attempt?.generation ?? 0) + 1;
    await seat.write({ kind: 'rescuing', record, next: { generation, anchors: [alone] } });
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
        if (signal.aborted) throw error;
        onTrouble(error);
        await systemClock.sleep(AGAIN_MS, signal);
      }
    }
  }

  async #gather({ record, next }: Rescuing): Promise<void> {
    const { seat, onStep } = this.#parts;
    const store = ownOf(record, seat.peer).server;
    await seat.stop();
    const servers = await seat.servers.apart(record, store);
    try {
      await Promise.all(servers.map((server) => server.start()));
      await this.#agree(servers, store);
      onStep('copied');
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
    await seat.write({ kind: 'gathered', record: next, store });
    onStep('decided');
  }

  async #agree(servers: readonly EmbeddedNatsServer[], store: string): Promise<void> {
    const { systemAddress, onStep, signal } = this.#parts;
    const [own] = servers;
    if (own === undefined) return;
    const address = { ...(await systemAddress()), servers: [own.served] };
    const system = await dialMesh(address, 'podmesh-rescue', CONNECT_MS);
    const names = servers.map(({ name }) => name);
    await rescueCluster(system, names, signal).finally(() => system.close());
    onStep('agreed');
    const mesh = await connectMesh({
      ...{ url: own.address, name: 'podmesh-rescue' },
      timeoutMs: CONNECT_MS,
    });
    await gatherStreams(mesh, store, signal).finally(() => mesh.close());
  }
}

type Rescuing = { readonly record: AnchorRecord; readonly next: AnchorRecord };

function ownOf({ anchors }: AnchorRecord, peer: PeerId): Anchor {
  const own = anchors.find((anchor) => anchor.peer === peer);
  if (own === undefined) throw new Error(`${peer} is none of the anchors`);
  return own;
}
