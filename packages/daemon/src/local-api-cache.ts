import { type ArtifactId, type PinReason, unreachable } from '@podmesh/core';
import { ApiRefusal } from './local-api-request.ts';
import { readFreeDisk } from './machine/pressure.ts';
import { CacheAdmin, type CachedArtifact } from './store/cache-admin.ts';
import type { DiskStore } from './store/disk-store.ts';
import type { Mended, WrongBytes } from './store/wrong-bytes.ts';

/** Artifacts that are written as JSON at once: of 100,000 all together the peer would feel it. */
const LISTED_AT_ONCE = 500;
/** How often a verification says how far it is. */
const PROGRESS_MS = 1_000;

/** What a verification says as it goes; each is one line. */
export type VerifyLine =
  | { readonly kind: 'verifying'; readonly artifacts: number; readonly bytes: number }
  | { readonly kind: 'progress'; readonly checked: number; readonly checkedBytes: number }
  /** It had other bytes than its name says, and this became of it. */
  | ({ readonly kind: 'wrong' } & Mended)
  | { readonly kind: 'missing'; readonly artifact: ArtifactId }
  /** The last one… */
  | { readonly kind: 'verified'; readonly checked: number; readonly checkedBytes: number }
  /** …but for this. */
  | { readonly kind: 'failed'; readonly error: string };

/** The store of this peer, as the local API tells of it. */
export class LocalCache {
  readonly #store: DiskStore;
  readonly #admin: CacheAdmin;
  readonly #progressMs: number;
  #isVerifying = false;

  /** `progressMs` is for tests. */
  constructor(
    store: DiskStore,
    wrongBytes: Pick<WrongBytes, 'mend'>,
    progressMs: number = PROGRESS_MS,
  ) {
    this.#store = store;
    this.#admin = new CacheAdmin(store, wrongBytes);
    this.#progressMs = progressMs;
  }

  /** One JSON object, in pieces. */
  async *list(): AsyncGenerator<string> {
    const { artifacts, ...totals } = await this.#admin.list();
    const freeBytes = await readFreeDisk(totals.root);
    const nowMs = Date.now();
    yield `${JSON.stringify({ ...totals, freeBytes }).slice(0, -1)},"artifacts":[`;
    for (let from = 0; from < artifacts.length; from += LISTED_AT_ONCE) {
      const some = artifacts.slice(from, from + LISTED_AT_ONCE);
      const told = some.map((entry) => JSON.stringify(this.#entry(entry, nowMs)));
      yield `${from === 0 ? '' : ','}${told.join(',')}`;
    }
    yield ']}';
  }

  async pin(artifacts: readonly ArtifactId[]) {
    await this.#admin.pin(artifacts);
    return { artifacts: artifacts.map((artifact) => ({ artifact, here: this.#isHere(artifact) })) };
  }

  async unpin(artifacts: readonly ArtifactId[]) {
    const told = artifacts.map((artifact) => ({ artifact, wasPinned: this.#isPersons(artifact) }));
    await this.#admin.unpin(artifacts);
    return { artifacts: told };
  }

  prune(to: { readonly to?: number }) {
    return this.#admin.prune(to);
  }

  /** One after the other, and one verification at a time: tasks wait for the thread that hashes, too. */
  async *verify(
    named: readonly ArtifactId[] | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    if (this.#isVerifying)
      throw new ApiRefusal(409, 'a verification is going on already', 'Wait until it is over.');
    this.#isVerifying = true;
    try {
      for await (const line of this.#verify(named, signal)) yield `${JSON.stringify(line)}\n`;
    } finally {
      this.#isVerifying = false;
    }
  }

  async *#verify(
    named: readonly ArtifactId[] | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<VerifyLine> {
    const { index } = this.#store;
    const artifacts = named ?? [...index.wholes()].map(([artifact]) => artifact);
    const bytes = artifacts.reduce((sum, artifact) => sum + (index.whole(artifact)?.bytes ?? 0), 0);
    yield { kind: 'verifying', artifacts: artifacts.length, bytes };
    let [checked, checkedBytes, toldMs] = [0, 0, performance.now()];
    const progress = (): VerifyLine => {
      toldMs = performance.now();
      return { kind: 'progress', checked, checkedBytes };
    };
    try {
      for (const artifact of artifacts) {
        const one = this.#admin.verify([artifact], signal);
        // Also where a single artifact takes minutes, so that both sides know the other is there.
        while (!(await isSettledWithin(one, this.#progressMs))) yield progress();
        const { wrong, missing, ...more } = await one;
        checked += more.checked;
        checkedBytes += more.checkedBytes;
        for (const mended of wrong) yield { kind: 'wrong', ...mended };
        // What was removed since it was listed is missed by nobody.
        if (missing.length > 0 && named !== undefined) yield { kind: 'missing', artifact };
        if (performance.now() - toldMs >= this.#progressMs) yield progress();
      }
      yield { kind: 'verified', checked, checkedBytes };
    } catch (error) {
      yield { kind: 'failed', error: error instanceof Error ? error.message : String(error) };
    }
  }

  #entry({ artifact, bytes, usedAtMs, rank, pins }: CachedArtifact, nowMs: number) {
    return {
      artifact,
      bytes,
      whole: this.#store.index.whole(artifact) !== undefined,
      rank,
      pins: pins.map(pinText),
      usedMsAgo: Math.max(0, Math.round(nowMs - usedAtMs)),
    };
  }

  #isHere(artifact: ArtifactId): boolean {
    return this.#store.index.whole(artifact) !== undefined;
  }

  #isPersons(artifact: ArtifactId): boolean {
    return this.#store.pins.reasonsOf(artifact).some(({ kind }) => kind === 'person');
  }
}

function pinText(reason: PinReason): string {
  switch (reason.kind) {
    case 'input':
      return 'input of a task that runs';
    case 'unreplicated':
      return reason.apart === true
        ? `left by an attempt of ${reason.run}/${reason.task}, and nowhere else or on one more disk`
        : `output of ${reason.run}/${reason.task}, which counts on this copy`;
    case 'transfer':
      return 'in use or just used';
    case 'image':
      return 'part of an image with a tag';
    case 'person':
      return 'pinned by a person';
    default:
      return unreachable(reason);
  }
}

function isSettledWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), ms);
    const settled = (): void => {
      clearTimeout(late);
      resolve(true);
    };
    work.then(settled, settled);
  });
}
