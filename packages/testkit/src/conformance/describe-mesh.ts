import type { MeshPorts } from '../mesh/fake-mesh.ts';
import type { MakeBench } from './bench.ts';
import { describeLaneDirectory, describePeerDirectory } from './describe-directories.ts';
import { describeDriveQueue } from './describe-drive-queue.ts';
import { describeLeaseKeeper, type LeaseBench } from './describe-lease-keeper.ts';
import { describeLiveLog } from './describe-live-log.ts';
import { describeOfferQueue } from './describe-offer-queue.ts';
import { describeRunLog } from './describe-run-log.ts';
import { describeArtifactStore, describeResultCache } from './describe-stores.ts';

/** A bench on which all suites of a mesh's ports can run. */
export interface MeshBench extends LeaseBench {
  readonly ports: MeshPorts;
  readonly other: MeshPorts;
}

/** Every suite of the ports that a mesh gives. */
export function describeMesh(name: string, make: MakeBench<MeshBench>): void {
  describeRunLog(name, make);
  describeOfferQueue(name, make);
  describeDriveQueue(name, make);
  describeLeaseKeeper(name, make);
  describePeerDirectory(name, make);
  describeLaneDirectory(name, make);
  describeResultCache(name, make);
  describeArtifactStore(name, make);
  describeLiveLog(name, make);
}
