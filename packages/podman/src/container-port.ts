import { spawn } from 'node:child_process';
import { readlink } from 'node:fs/promises';
import { Server } from 'node:net';

/** A namespace is entered within this. */
const LISTEN_MS_MAX = 15_000;

/**
 * Run in the container's network: makes the socket there, hands it over and ends. A listening socket stays in the
 * network that it was made in, whoever has it.
 */
const LISTENER = `
const server = require('node:net').createServer();
const tell = (word) => process.send(word, () => process.exit());
server.once('error', (error) => tell({ problem: error.message }));
server.listen({ host: '127.0.0.1', port: Number(process.argv[1]) }, () =>
  process.send('listening', server, () => process.exit()));
`;

/**
 * Listens on the loopback of a container that was initialised, by the id of a process in it: what connects there is
 * accepted by this process, and nothing else of this machine is reached from inside. Needs `nsenter`. The caller closes it.
 */
export async function listenInContainer(pid: number, port: number): Promise<Server> {
  const words = [...(await namespaces(pid)), '--', process.execPath, '-e', LISTENER, String(port)];
  const child = spawn('nsenter', words, {
    env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    timeout: LISTEN_MS_MAX,
    killSignal: 'SIGKILL',
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-1_000);
  });
  return await new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown): void => {
      const message = `cannot listen on 127.0.0.1:${port} of a container: ${reason}`;
      reject(new Error(message, { cause }));
    };
    child.once('error', (error) => fail(error.message, error));
    child.once('message', (word, handle) => {
      if (handle instanceof Server) resolve(handle);
      else fail(JSON.stringify(word));
    });
    // After the last word, if there was one.
    child.once('close', () => fail(said.trim() || 'its helper ended without a word'));
  });
}

/** The user namespace only where it is not our own: nobody can enter that. */
async function namespaces(pid: number): Promise<string[]> {
  const [own, its] = await Promise.all(
    ['self', String(pid)].map((process) => readlink(`/proc/${process}/ns/user`)),
  );
  const user = own === its ? [] : ['--user', '--preserve-credentials'];
  return [...user, '--net', '--target', String(pid)];
}
