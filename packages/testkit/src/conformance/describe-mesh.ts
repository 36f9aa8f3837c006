import { artifactId, type ChunkSource, peerId } from '@podmesh/core';
import type { MeshPorts } from '../mesh/fake-mesh.ts';
import { freshAction } from '../samples.ts';
import { type MakeBench, until } from './bench.ts';
import { describeArtifactFinder } from './describe-artifact-finder.ts';
import { describeArtifactShelf } from './describe-artifact-shelf.ts';
import { type ChunkTransportBench, describeChunkTransport } from './describe-chunk-transport.ts';
import { describeLaneDirectory, describePeerDirectory } from './describe-directories.ts';
import { describeDriveQueue } from './describe-drive-queue.ts';
import { describeImages } from './describe-images.ts';
import { describeLeaseKeeper, type LeaseBench } from './describe-lease-keeper.ts';
import { describeLiveLog } from './describe-live-log.ts';
import { describeOfferQueue } from './describe-offer-queue.ts';
import { describeOutputKeepers } from './describe-output-keepers.ts';
import { describePeerOrders } from './describe-peer-orders.ts';
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
  describePeerOrders(name, make);
  describeLaneDirectory(name, make);
  describeResultCache(name, make);
  describeArtifactStore(name, make);
  describeArtifactShelf(name, make);
  describeImages(name, make);
  describeLiveLog(name, make);
  describeArtifactFinder(name, make);
  describeOutputKeepers(name, make);
  describeChunkTransport(name, () => chunkTransportBench(make));
}

/** The relay of the one connection, and sources behind the other. */
async function chunkTransportBench(make: MakeBench<MeshBench>): Promise<ChunkTransportBench> {
  const bench = await make();
  const stop = new AbortController();
  const transport = bench.ports.relay;
  return {
    transport,
    ...(bench.advance === undefined ? {} : { advance: bench.advance }),
    serve: async (source) => {
      const peer = peerId(`peer-${freshAction().slice(-12)}`);
      let asked = false;
      const noticing: ChunkSource = {
        chunkList: (artifact) => {
          if (artifact !== probe) return source.chunkList(artifact);
          asked = true;
          return Promise.resolve(undefined);
        },
        read: (chunk) => source.read(chunk),
      };
      const probe = artifactId(freshAction());
      void bench.other.serveRelay(peer, noticing, stop.signal);
      await until(bench, async () => {
        await transport.chunkList(peer, probe, stop.signal);
        return asked;
      });
      return peer;
    },
    dispose: async () => {
      stop.abort();
      await bench.dispose();
    },
  };
}
