import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** Its bytes as they come, paused. Ends when all writers that were there since the opening are gone. */
export function readFifo(path: string): Socket {
  const fd = openSync(path, O_RDONLY | O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  // Somebody who does not care about the end must not crash by it.
  socket.on('error', () => undefined);
  return socket.pause();
}

/** Whether some process holds it open for reading: the kernel's own word, which no reused process id can forge. */
export function isHeld(path: string): boolean {
  return tell(path, '');
}

/** Writes a few bytes, if somebody holds it open for reading. */
export function tell(path: string, text: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, O_WRONLY | O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    if (text !== '') writeSync(fd, text);
    return true;
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}
