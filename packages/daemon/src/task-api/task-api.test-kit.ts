import { once } from 'node:events';
import { request } from 'node:http';
import { type ClaimId, claimId, type Offer, peerId } from '@podmesh/core';
import {
  FakeMesh,
  freshLane,
  freshRun,
  sampleOffer,
  samplePeer,
  VirtualClock,
} from '@podmesh/testkit';
import { onTestFinished } from 'vitest';
import type { Reservation } from '../claim/capacity-ledger.ts';
import { newBench, silent } from '../daemon.test-kit.ts';
import { LocalTaskFiles } from '../store/local-task-files.ts';
import { newStore, temporaryFolder } from '../store/store.test-kit.ts';
import { TaskApi, type TaskApiParts } from './task-api.ts';

/** What was answered. */
export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Of JSON. */
  readonly body: unknown;
}

/** A reservation that keeps count of what is lent. */
export class CountedReservation implements Reservation {
  lends = 0;
  isLent = false;

  release(): void {}

  lendCores(): void {
    this.lends += 1;
    this.isLent = true;
  }

  takeCoresBack(): void {
    this.isLent = false;
  }
}

/** The API over real sockets, with a mesh in memory. */
export async function newApiCase(changes: Partial<TaskApiParts> = {}) {
  const { store } = await newStore();
  const clock = new VirtualClock();
  const mesh = new FakeMesh(clock);
  const { ports } = newBench(undefined, 'oak', { clock, mesh });
  await ports.peers.announce(samplePeer('oak'));
  const home = await temporaryFolder();
  const files = new LocalTaskFiles(await temporaryFolder(), ports.artifacts, { store });
  await files.prepare();
  let ids = 0;
  const parts: TaskApiParts = {
    home,
    env: {},
    files,
    artifacts: ports.artifacts,
    liveLog: ports.liveLog,
    peers: ports.peers,
    peer: peerId('oak'),
    randomId: () => {
      ids += 1;
      return `id${ids}`;
    },
    logger: silent,
    ...changes,
  };
  const newApi = async (kept: readonly ClaimId[] = []) => {
    const api = new TaskApi(parts);
    onTestFinished(() => api.stop());
    await api.start(new Set(kept));
    return api;
  };
  const api = await newApi();
  const open = (name: string, offer: Offer = sampleOffer(freshRun(), freshLane())) => {
    const claim = claimId(name);
    const reservation = new CountedReservation();
    const directory = api.open({ offer, claim, reservation });
    return { claim, offer, reservation, directory, socket: `${directory}/sock` };
  };
  return { home, api, newApi, open, mesh, clock, store, ports };
}

/** One request at a socket, on a connection of its own. */
export async function ask(
  socketPath: string,
  method: string,
  path: string,
  sent: { readonly body?: string | Buffer; readonly headers?: Record<string, string> } = {},
): Promise<Answered> {
  const { body, headers = {} } = sent;
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const asking = request({
    ...{ socketPath, method, path, agent: false },
    headers: { ...length, ...headers },
  });
  const broken = new Promise<never>((_, reject) => asking.once('error', reject));
  broken.catch(() => undefined);
  asking.end(body);
  const [response] = await Promise.race([once(asking, 'response'), broken]);
  let text = '';
  for await (const piece of response) text += String(piece);
  const isJson = response.headers['content-type'] === 'application/json';
  return {
    status: response.statusCode,
    headers: response.headers,
    text,
    body: isJson ? (JSON.parse(text) as unknown) : undefined,
  };
}
