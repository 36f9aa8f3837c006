import { systemClock } from '@podmesh/transfer';
import type { DaemonParts } from '../daemon-parts.ts';
import type { Peer } from '../peer.ts';
import type { StartedParts } from '../started-parts.ts';
import { CloudWatch, metadataOverHttp } from './cloud-watch.ts';

/** Only where somebody asked for it: other machines have no metadata service, and nobody there to be asked. */
export function openCloudWatch(
  { configuration: { cloud }, logger }: DaemonParts,
  started: StartedParts,
  peer: Pick<Peer, 'drain'>,
): void {
  if (cloud === undefined) return;
  const get = metadataOverHttp(process.env);
  const drain = peer.drain.bind(peer);
  const watch = new CloudWatch({ cloud, get, drain, clock: systemClock, logger });
  started.add('notices of the cloud', () => watch.stop());
  watch.start();
}
