import { isIP } from 'node:net';
import {
  type Authority,
  type CertificateAuthority,
  type MeshFolder,
  memberAddress,
  memberName,
} from '@podmesh/authority';
import type { Anchor, PeerId } from '@podmesh/core';
import {
  type AnchorPapers,
  ClusterAdmin,
  dialMesh,
  JetStreamPeerDirectory,
  type MeshConnection,
  type PapersRequest,
} from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { Logger } from 'pino';
import type { ServeAddress } from '../configuration.ts';
import type { DaemonParts } from '../daemon-parts.ts';
import type { Home } from '../home.ts';
import type { Route } from '../local-api.ts';
import type { KeysOfMesh } from '../membership/open-member-office.ts';
import type { Membership } from '../membership/open-membership.ts';
import type { StartedParts } from '../started-parts.ts';
import { autoPatience, killChangeAt } from '../test-hooks.ts';
import { AnchorDesk, type AnchorDeskParts } from './anchor-desk.ts';
import { hostOf } from './anchor-place.ts';
import { AnchorRescue, RescueStoppedError } from './anchor-rescue.ts';
import { anchorRoutes } from './anchor-routes.ts';
import { AnchorSeat } from './anchor-seat.ts';
import { AutoAnchorsWatch } from './auto-anchors-watch.ts';
import { beginNotedRescue } from './rescue-request.ts';
import { supersededBy } from './superseded-by.ts';

export interface SeatParts {
  readonly home: Home;
  readonly peer: PeerId;
  readonly mesh: MeshFolder;
  readonly listen: ServeAddress;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  /** Whether this home made the mesh: it begins with a server that is alone. */
  readonly isFirst: boolean;
  /** Where it carries nothing any more. */
  readonly onNone?: () => Promise<void>;
}

/** Starts what this home has of the mesh's servers. What was started is in `started`. */
export async function openSeat(parts: SeatParts, started: StartedParts): Promise<AnchorSeat> {
  const { home, peer, mesh, listen, env, logger, isFirst, onNone } = parts;
  const seat = new AnchorSeat({
    file: home.at('nats', 'seat.json'),
    folder: home.at('nats'),
    mesh,
    listen,
    env,
    onEvent: (event) => logger.info(event, `embedded nats-server: ${event.kind}`),
    onForgotten: (generation) =>
      logger.info({ generation }, 'took away what was left of a server that is over'),
    onKept: (kept) => logger.error({ kept }, KEPT),
    peer,
    supersededBy: (record) => supersededBy(record, peer, asAnchor(mesh)),
    ...(onNone === undefined ? {} : { onNone }),
  });
  started.add('nats-server', () => seat.stop());
  await seat.start(isFirst);
  const ending = new AbortController();
  started.add('rescue of anchors', async () => ending.abort());
  const rescue = newRescue({ seat, mesh, logger, home }, ending.signal);
  await beginNotedRescue(home.at('nats', 'rescue.json'), seat, rescue);
  // Nothing else can be done here before what was begun has come to its end.
  if (seat.seat.kind === 'rescuing') {
    const stopped = await rescue.finish().then(() => undefined, stoppedBy);
    if (stopped !== undefined) {
      logger.error(stopped.message);
      await seat.start(false);
    }
  }
  if (seat.record !== undefined) await mesh.setAnchors(seat.record);
  return seat;
}

const KEPT =
  'the mesh goes on without what was stored here, which may be more than it has: it is kept, and never served again. ' +
  'Take the folder away when nobody misses anything';

function stoppedBy(error: unknown): RescueStoppedError {
  if (error instanceof RescueStoppedError) return error;
  throw error;
}

function newRescue(
  {
    seat,
    mesh,
    logger,
    home,
  }: Pick<SeatParts, 'mesh' | 'logger' | 'home'> & { readonly seat: AnchorSeat },
  signal: AbortSignal,
): AnchorRescue {
  return new AnchorRescue({
    seat,
    systemAddress: () => memberAddress(mesh, ['system']),
    onStep: (step) => {
      logger.info({ step }, 'going on with what this machine has alone');
      killChangeAt('rescue', process.env, home.path)(step);
    },
    onTrouble: (error) => logger.warn({ err: error }, 'cannot go on alone yet; trying again'),
    onHeard: (said) => logger.info({ said }, 'the server has not let go of the others yet'),
    signal,
  });
}

const asAnchor = (mesh: MeshFolder) => () => memberAddress(mesh, ['anchor', 'peer']);

/** This peer's part in who carries the mesh, from now on; what its owner may do about it. */
export async function openAnchors(
  parts: DaemonParts,
  started: StartedParts,
  way: { readonly connection: MeshConnection; readonly membership: Membership },
): Promise<ReadonlyMap<string, Readonly<Record<string, Route>>>> {
  const { connection, membership } = way;
  const { seat, folder: mesh, keys } = membership;
  if (seat === undefined || mesh === undefined) return new Map();
  const papers =
    keys && ((anchor: Anchor, request: PapersRequest) => issuePapers(keys, anchor, request));
  const system = async () => dialMesh(await memberAddress(mesh, ['system']), 'podmesh-anchors');
  const desk = await openDesk(parts, started, {
    seat,
    system,
    connection,
    mesh,
    ...(papers === undefined ? {} : { papers }),
    ...(keys === undefined ? {} : { retire: (peers) => takeBack(keys, peers) }),
  });
  if (parts.configuration.autoAnchors) watchAnchors(parts, started, { connection, system, desk });
  return anchorRoutes(desk, parts.configuration.autoAnchors && desk.hasKeys);
}

/** Only whoever has the keys can make anchors. */
function watchAnchors(
  { peer, logger }: DaemonParts,
  started: StartedParts,
  way: Pick<AnchorDeskParts, 'connection' | 'system'> & { readonly desk: AnchorDesk },
): void {
  const { connection, system, desk } = way;
  if (!desk.hasKeys) {
    logger.warn('--auto-anchors does nothing here: the keys of the mesh are on another machine');
    return;
  }
  const answering = async (): Promise<readonly string[]> => {
    const own = await system();
    const servers = await new ClusterAdmin(own).survey().finally(() => own.close());
    return servers.map(({ server }) => server);
  };
  const watch = new AutoAnchorsWatch({
    self: peer,
    peers: new JetStreamPeerDirectory(connection),
    record: () => desk.carried,
    answering,
    change: (wanted) => desk.change(wanted),
    clock: systemClock,
    logger,
    patience: autoPatience(process.env),
  });
  started.add('auto-anchors', () => watch.stop());
  watch.start();
}

async function openDesk(
  { home, logger }: DaemonParts,
  started: StartedParts,
  way: Pick<AnchorDeskParts, 'seat' | 'connection' | 'papers' | 'system' | 'retire'> & {
    readonly mesh: MeshFolder;
  },
): Promise<AnchorDesk> {
  const { mesh, ...more } = way;
  const ending = new AbortController();
  started.add('rescue of anchors', async () => ending.abort());
  const desk = new AnchorDesk({
    ...more,
    logger,
    rescue: newRescue({ seat: way.seat, mesh, logger, home }, ending.signal),
    onStep: killChangeAt('move', process.env, home.path),
    onExchangeStep: killChangeAt('exchange', process.env, home.path),
    onGatherStep: killChangeAt('gather', process.env, home.path),
    supersededBy: (record) => supersededBy(record, way.seat.peer, asAnchor(mesh)),
    onRecord: (record) =>
      void mesh
        .setAnchors(record)
        .catch((error: unknown) =>
          logger.warn({ err: error }, 'could not note where the servers of the mesh are'),
        ),
  });
  started.add('anchors', () => desk.stop());
  await desk.start();
  return desk;
}

/** The servers hear of it at once, and cut off whoever is still connected by what it had. */
async function takeBack(
  { authority, pushTrust }: Pick<KeysOfMesh, 'authority' | 'pushTrust'>,
  peers: readonly PeerId[],
): Promise<void> {
  for (const peer of peers)
    for (const role of ['anchor', 'system'] as const) await authority.revoke(peer, role);
  await pushTrust();
}

interface IssuerOfPapers {
  readonly authority: Authority;
  readonly certificates: CertificateAuthority;
}

/** What a peer needs to carry a server, from those who hold the keys of the mesh. */
async function issuePapers(
  { authority, certificates }: IssuerOfPapers,
  { peer, client, route }: Anchor,
  { server: request, keys }: PapersRequest,
): Promise<AnchorPapers> {
  const name = memberName(peer);
  const [anchor, system] = await Promise.all([
    authority.sign({ role: 'anchor', name, publicKey: keys.anchor }),
    authority.sign({ role: 'system', name, publicKey: keys.system }),
  ]);
  // Other servers know each other by address; clients by a name that all servers have.
  const hosts = [client, ...(route === undefined ? [] : [route])].map(hostOf);
  const addresses = [...new Set(hosts.filter((host) => isIP(host) !== 0))];
  const serverCertificate = await certificates.signServer({ name, request, addresses });
  return { trust: await authority.serverTrust(), serverCertificate, tokens: { anchor, system } };
}
