import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';

/**
 * The address of this machine by which it reaches a server (`host:port`): the one that other peers of the same
 * mesh are most likely to reach it by, and no other interface. To ask the kernel sends nothing.
 */
export async function addressTowards(server: string): Promise<string> {
  const { hostname, port } = new URL(`tcp://${server}`);
  const { address, family } = await lookup(hostname.replace(/^\[|\]$/g, ''));
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(Number(port || 4222), address, resolve);
    });
    return socket.address().address;
  } finally {
    socket.close();
  }
}
