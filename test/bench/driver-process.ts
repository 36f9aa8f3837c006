import { Peer } from '@podmesh/daemon';
import { connectMesh, openMesh } from '@podmesh/jetstream';
import { idleCapacity, idlePeerParts } from './bench-mesh.ts';

/** A peer that only drives, alone in its process, so that its memory can be measured. */
const [url = ''] = process.argv.slice(2);
const connection = await connectMesh({ url, name: 'driver' });
await connection.ensureStreams({ replicas: 1 });
const peer = new Peer(idlePeerParts(openMesh(connection), 'driver', 0), idleCapacity(0));
await peer.start();
process.send?.('driving');
