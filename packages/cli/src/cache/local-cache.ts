import { CliError } from '../cli-error.ts';
import { type Answer, type DaemonSocket, notUnderstood } from '../home/daemon-socket.ts';

/** An artifact on the daemon's disk, as it tells of it. */
export interface CacheEntry {
  readonly artifact: string;
  readonly bytes: number;
  readonly whole: boolean;
  readonly rank: string;
  /** Why it stays, in words. */
  readonly pins: readonly string[];
  readonly usedMsAgo: number;
}

export interface CacheListing {
  readonly root: string;
  readonly storeBytes: number;
  readonly freeBytes: number;
  readonly limits: {
    readonly floorBytes: number;
    readonly ceilingBytes: number;
    readonly minFreeBytes: number;
  };
  readonly artifacts: readonly CacheEntry[];
}

export interface Pruned {
  readonly removed: readonly string[];
  readonly removedBytes: number;
  readonly storeBytes: number;
}

/** An artifact that had other bytes than its digest says, and what the daemon did about it. */
export interface Wrong {
  readonly artifact: string;
  readonly now: 'fetched' | 'copied' | 'lost';
  readonly why?: string;
  /** Tasks that read it and were ended, as `RUN/TASK`. */
  readonly ended: readonly string[];
}

export interface Verified {
  readonly checked: number;
  readonly checkedBytes: number;
  readonly wrong: readonly Wrong[];
  readonly missing: readonly string[];
}

/** How far a verification is. */
export interface VerifyProgress {
  readonly checked: number;
  readonly checkedBytes: number;
  readonly artifacts: number;
  readonly bytes: number;
}

/** The daemon's `/v1/cache`. Everything throws a `CliError`. */
export class LocalCache {
  readonly #socket: DaemonSocket;

  constructor(socket: DaemonSocket) {
    this.#socket = socket;
  }

  async list(): Promise<CacheListing> {
    const listing = await this.#socket.get('/v1/cache');
    if (!hasNumbers(listing, 'storeBytes', 'freeBytes') || !isObject(listing.limits))
      throw notUnderstood();
    if (!hasNumbers(listing.limits, 'ceilingBytes', 'minFreeBytes')) throw notUnderstood();
    if (!Array.isArray(listing.artifacts) || !listing.artifacts.every(isEntry))
      throw notUnderstood();
    return listing as unknown as CacheListing;
  }

  /** Which of them are here. */
  async pin(artifacts: readonly string[]) {
    return listed(await this.#socket.post('/v1/cache/pin', { artifacts }), 'here');
  }

  /** Which of them were pinned. */
  async unpin(artifacts: readonly string[]) {
    const answer = await this.#socket.post('/v1/cache/unpin', { artifacts });
    return listed(answer, 'wasPinned');
  }

  async prune(toBytes: number | undefined): Promise<Pruned> {
    const order = toBytes === undefined ? {} : { toBytes };
    const pruned = await this.#socket.post('/v1/cache/prune', order);
    if (!hasNumbers(pruned, 'removedBytes', 'storeBytes') || !Array.isArray(pruned.removed))
      throw notUnderstood();
    return pruned as unknown as Pruned;
  }

  /** `artifacts` undefined: all. */
  async verify(
    artifacts: readonly string[] | undefined,
    tell: (progress: VerifyProgress) => void,
  ): Promise<Verified> {
    const order = artifacts === undefined ? {} : { artifacts };
    const [wrong, missing]: [Wrong[], string[]] = [[], []];
    let size = { artifacts: 0, bytes: 0 };
    for await (const line of this.#socket.postForLines('/v1/cache/verify', order)) {
      const count = (name: string): number => Number(line[name] ?? 0);
      const done = { checked: count('checked'), checkedBytes: count('checkedBytes') };
      // What a later version says beside these is not missed.
      if (line.kind === 'verifying')
        size = { artifacts: count('artifacts'), bytes: count('bytes') };
      if (line.kind === 'progress') tell({ ...size, ...done });
      if (line.kind === 'wrong') wrong.push(parseWrong(line));
      if (line.kind === 'missing') missing.push(String(line.artifact));
      if (line.kind === 'failed') throw failed(line);
      if (line.kind === 'verified') return { ...done, wrong, missing };
    }
    throw notUnderstood();
  }
}

/** One that does not say what it did has only removed it. */
function parseWrong({ artifact, now, why, ended }: Answer): Wrong {
  return {
    artifact: String(artifact),
    now: now === 'fetched' || now === 'copied' ? now : 'lost',
    ...(typeof why === 'string' ? { why } : {}),
    ended: Array.isArray(ended) ? ended.map(String) : [],
  };
}

function failed({ error }: Answer): CliError {
  return new CliError('daemon', `the daemon could not verify on: ${String(error)}`);
}

/** What was asked, and what the daemon says of each under the name. */
function listed({ artifacts }: Answer, name: string) {
  if (!Array.isArray(artifacts) || !artifacts.every(isObject)) throw notUnderstood();
  return artifacts.map((told) => ({
    artifact: String(told.artifact),
    is: told[name] === true,
  }));
}

function isEntry(entry: unknown): boolean {
  return (
    isObject(entry) &&
    typeof entry.artifact === 'string' &&
    hasNumbers(entry, 'bytes', 'usedMsAgo') &&
    Array.isArray(entry.pins)
  );
}

const isObject = (value: unknown): value is Answer => typeof value === 'object' && value !== null;

const hasNumbers = (answer: Answer, ...names: readonly string[]): boolean =>
  names.every((name) => typeof answer[name] === 'number');
