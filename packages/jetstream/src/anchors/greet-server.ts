import { connect } from 'node:net';
import { createInterface } from 'node:readline';

/** What a nats-server says of itself to whoever connects, before it asks who that is. */
export interface ServerGreeting {
  readonly server: string;
  readonly version: string;
  readonly cluster?: string;
}

const GREETING_MS = 3_000;
const GREETING_CHARACTERS_MAX = 64 * 1024;

/**
 * The greeting of the server at `host:port`; undefined when nobody greets there in time, or before the signal aborts.
 * Needs no credentials.
 */
export async function greetServer(
  address: string,
  signal?: AbortSignal,
): Promise<ServerGreeting | undefined> {
  if (signal?.aborted === true) return undefined;
  const { hostname, port } = new URL(`tcp://${address}`);
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket = connect({
    host,
    port: Number(port || 4222),
    ...(signal === undefined ? {} : { signal }),
  });
  socket.setTimeout(GREETING_MS, () => socket.destroy());
  try {
    for await (const line of createInterface({ input: socket })) return readGreeting(line);
    return undefined;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

function readGreeting(line: string): ServerGreeting | undefined {
  if (!line.startsWith('INFO ') || line.length > GREETING_CHARACTERS_MAX) return undefined;
  try {
    const { server_name: server, version, cluster } = Object(JSON.parse(line.slice(5)));
    if (typeof server !== 'string' || typeof version !== 'string') return undefined;
    return { server, version, ...(typeof cluster === 'string' ? { cluster } : {}) };
  } catch {
    return undefined;
  }
}
