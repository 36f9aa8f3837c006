import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type Clock, isMacAddress, type Link } from '@podmesh/core';
import type { OwnNetwork } from '../machine/links.ts';

/** "Discard": nothing listens there, and cards look at the payload alone. */
const PORT = 9;
/** One of them may be lost. */
const REPEATS = 3;
const APART_MS = 200;
const MAC_REPEATS = 16;

/**
 * What a sleeping card listens for: six bytes 0xFF, and sixteen times its address (AMD, Magic Packet Technology). Throws a
 * `TypeError` for what is no address: whoever wrote it down must not choose what this machine sends.
 */
export function magicPacket(mac: string): Uint8Array {
  if (!isMacAddress(mac)) throw new TypeError('this is no address of a card');
  const address = Buffer.from(mac.replaceAll(':', ''), 'hex');
  return Buffer.concat([Buffer.alloc(6, 0xff), ...Array<Buffer>(MAC_REPEATS).fill(address)]);
}

/** Sends to the broadcast address of each link's network, a few times; throws what the system says of it where none took it. */
export async function sendMagicPackets(
  links: readonly Link[],
  own: readonly OwnNetwork[],
  clock: Clock,
): Promise<void> {
  const failures: unknown[] = [];
  let isSent = false;
  for (const place of own) {
    const macs = links.flatMap(({ mac, network }) => (network === place.network ? [mac] : []));
    if (macs.length === 0) continue;
    try {
      await sendIn(place, macs, clock);
      isSent = true;
    } catch (error) {
      // An interface may have just gone away; the sleeper may hear it in another network.
      failures.push(error);
    }
  }
  if (!isSent && failures.length > 0) throw failures[0];
}

/** Bound to its own address there, so that it leaves by that interface. */
async function sendIn(place: OwnNetwork, macs: readonly string[], clock: Clock): Promise<void> {
  const socket = createSocket('udp4');
  const broken = once(socket, 'error').then(([error]) => Promise.reject(error));
  broken.catch(() => undefined);
  try {
    socket.bind({ address: place.address, port: 0 });
    await Promise.race([once(socket, 'listening'), broken]);
    socket.setBroadcast(true);
    for (let time = 0; time < REPEATS; time += 1) {
      if (time > 0) await clock.sleep(APART_MS);
      for (const mac of macs) await Promise.race([send(socket, mac, place.broadcast), broken]);
    }
  } finally {
    socket.close();
  }
}

function send(
  socket: ReturnType<typeof createSocket>,
  mac: string,
  broadcast: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(magicPacket(mac), PORT, broadcast, (error) => (error ? reject(error) : resolve()));
  });
}
