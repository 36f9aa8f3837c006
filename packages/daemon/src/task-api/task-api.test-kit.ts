import { once } from 'node:events';
import { request } from 'node:http';
import { type ClaimId, type Offer, peerId, taskId } from '@podmesh/core';
import { loadGraph } from '@podmesh/jetstream';
import {
  FakeMesh,
  freshLane,
  sampleOffer,
  samplePeer,
  sampleStarted,
  VirtualClock,
} from '@podmesh/testkit';
import { systemClock } from '@podmesh/transfer';
import { onTestFinished } from 'vitest';
import type { Reservation } from '../claim/capacity-ledger.ts';
import { graphOf, newBench, publishGraph, silent } from '../daemon.test-kit.ts';
import { LocalTaskFiles, sha256 } from '../store/local-task-files.ts';
import { newStore, temporaryFolder } from '../store/store.test-kit.ts';
import { TaskApi, type TaskApiParts } from './task-api.ts';
import type { AttemptAtWork } from './task-at-work.ts';

/** What was answered. */
export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Of JSON. */
  readonly body: unknown;
}

/** A reservation that tells when its cores are lent, and when they are back. */
export class CountedReservation implements Reservation {
  lends = 0;
  isLent = false;
  readonly lent: Promise<void>;
  readonly back: Promise<void>;
  #onLent: () => void = () => undefined;
  #onBack: () => void = () => undefined;

  constructor() {
    this.lent = new Promise((resolve) => {
      this.#onLent = resolve;
    });
    this.back = new Promise((resolve) => {
      this.#onBack = resolve;
    });
  }

  release(): void {}

  lendCores(): void {
    this.lends += 1;
    this.isLent = true;
    this.#onLent();
  }

  takeCoresBack(): void {
    this.isLent = false;
    this.#onBack();
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
    // Not in this machine's memory: whatever a test leaves open goes with its folder.
    env: { XDG_RUNTIME_DIR: await temporaryFolder() },
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
    log: ports.log,
    loadGraph: (published) => loadGraph(ports.artifacts, published),
    rollCall: () => ports.artifacts,
    clock: systemClock,
    sha256,
    ...changes,
  };
  const newApi = async (kept: readonly ClaimId[] = []) => {
    const api = new TaskApi(parts);
    onTestFinished(() => api.stop());
    await api.start(new Set(kept));
    return api;
  };
  const api = await newApi();
  /** An attempt of a run that the log knows. */
  const begin = (offer: Offer) => {
    const started = sampleStarted(offer.run, offer.task);
    const appended = mesh.log.append(started, offer.sequence);
    if (!appended.ok) throw new Error('the attempt was refused');
    return { claim: started.claim, started, startedSequence: appended.value };
  };
  const open = (at: Partial<Omit<AttemptAtWork, 'reservation'>> = {}) => {
    const run = publishGraph(mesh, graphOf({ id: 'root', spawn: { tasks: 3 } }));
    const offer = { ...sampleOffer(run, freshLane()), task: taskId('root') };
    const begun = begin(offer);
    const attempt = {
      offer,
      ...begun,
      reservation: new CountedReservation(),
      ...at,
    };
    const directory = api.open(attempt);
    return { ...attempt, attempt, directory, socket: `${directory}/sock` };
  };
  return { home, api, newApi, open, begin, mesh, store };
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
