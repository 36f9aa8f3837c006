import type { ClaimId, KeepOrder } from '@podmesh/core';
import type { Mesh, MeshConnection } from '@podmesh/jetstream';
import { type OwnCertificate, systemClock } from '@podmesh/transfer';
import type { ServeAddress } from '../configuration.ts';
import type { DaemonParts } from '../daemon-parts.ts';
import type { AttemptJournal } from '../execute/attempt-journal.ts';
import { PeerCopies } from '../keep/peer-copies.ts';
import type { Membership } from '../membership/open-membership.ts';
import type { SecretFiles } from '../secrets/secret-files.ts';
import type { StartedParts } from '../started-parts.ts';
import { BulkExchange } from '../transfer/bulk-exchange.ts';
import { addressTowards } from '../transfer/mesh-facing-address.ts';
import { DiskStore } from './disk-store.ts';
import { LocalTaskFiles, sha256 } from './local-task-files.ts';
import { WrongBytes } from './wrong-bytes.ts';

const FULL_TOLD_MS = 60_000;

export interface FilesPlace {
  readonly connection: MeshConnection;
  readonly mesh: Mesh;
  readonly journal: AttemptJournal;
  readonly secretFiles: SecretFiles;
  readonly membership: Membership;
  /** False while entries of the directory may be missing of peers that are there. */
  readonly isDirectoryWhole: () => boolean;
}

/** The artifacts of this disk: for its tasks, and from and for other peers. `copies` are to be stopped before attempts are. */
export async function openFiles(parts: DaemonParts, started: StartedParts, meeting: FilesPlace) {
  const { connection, mesh, journal, secretFiles, membership, isDirectoryWhole } = meeting;
  const { home, logger, peer } = parts;
  const root = home.at('store');
  const store = new DiskStore(root);
  started.add('artifact store', () => store.stop());
  const listen = await listenAt(parts, connection, membership);
  const own = await ownCertificate(membership);
  const exchange = new BulkExchange({ peer, mesh, store, clock: systemClock, logger, listen, own });
  const { transfers: fromPeers } = exchange;
  const onRelease = (claim: ClaimId) => secretFiles.remove(claim);
  const onFull = fullTeller(logger);
  const { peers, keepers } = mesh;
  const around = { clock: systemClock, sha256, isDirectoryWhole };
  const copies = new PeerCopies({ peer, peers, keepers, ...around });
  const onShort = ({ run, task }: KeepOrder, short: string) =>
    logger.warn({ run, task, short }, 'what a failed attempt left is on this disk only');
  const options = { store, fromPeers, onRelease, onFull, copies, onShort };
  const files = new LocalTaskFiles(root, mesh.artifacts, options);
  await files.prepare();
  // What an earlier session's containers read must outlive the first eviction of this one.
  const entries = await journal.list();
  await secretFiles.sweep(new Set(entries.map(({ claim }) => claim)));
  for (const { claim, offer } of entries) {
    await files.pinInputs(claim, Object.values(offer.inputs));
  }
  store.start();
  started.add('exchange of artifacts', () => exchange.stop());
  await exchange.start();
  const fetchAgain = files.fetchAgain.bind(files);
  return { store, files, exchange, copies, wrongBytes: new WrongBytes({ store, fetchAgain }) };
}

/** At most once a minute: what there is no room for may come by the thousand. */
function fullTeller(logger: DaemonParts['logger']): (error: Error) => void {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return ({ message }) => {
    if (performance.now() - toldAtMs < FULL_TOLD_MS) return;
    toldAtMs = performance.now();
    logger.warn(`${message}. Outputs and logs stay on the disks of peers meanwhile`);
  };
}

/** What this peer shows to others; undefined in a mesh without certificates. */
async function ownCertificate({ folder }: Membership): Promise<OwnCertificate | undefined> {
  const { ca, certificate: cert, key } = (await folder?.certificates()) ?? {};
  if (ca === undefined || cert === undefined || key === undefined) return undefined;
  return { ca, cert, key };
}

/** Where others are served directly; undefined: nowhere. */
async function listenAt(
  parts: DaemonParts,
  { address }: MeshConnection,
  { open }: Membership,
): Promise<ServeAddress | undefined> {
  const { serve } = parts.configuration;
  if (serve === 'none') return undefined;
  if (serve !== undefined) return serve;
  // It reaches its own server on loopback, where nobody else reaches it.
  if (open !== undefined) return { host: open.host, port: 0 };
  const [server = ''] = address.servers;
  try {
    return { host: await addressTowards(server), port: 0 };
  } catch (error) {
    parts.logger.warn({ err: error }, 'no address of this machine to serve artifacts on');
    return undefined;
  }
}
