import { setImmediate } from 'node:timers/promises';
import {
  type ArtifactId,
  type ArtifactRef,
  type ArtifactShelf,
  canonicalJson,
  type FinishedRun,
  type MeshReferences,
  type Reference,
  type Retention,
  SWEEP_GRACE_MS,
} from '@podmesh/core';
import {
  DirectProcess,
  FakeMesh,
  inPieces,
  Random,
  sampleArtifact,
  VirtualClock,
} from '@podmesh/testkit';
import { type SweepEnding, sweepOnce } from './sweep-pass.ts';

/** Nobody waits longer than this between a put, or a look at a reference, and the reference that follows from it. */
const PROMPT_MS = SWEEP_GRACE_MS - 1;

/**
 * A mesh of writers who refer to what they put, of readers who follow references, of references that end, and of sweepers,
 * all of whose steps happen in an order that a seed decides; time passes in between.
 */
export class SweepWorld {
  readonly clock = new VirtualClock();
  readonly mesh = new FakeMesh(this.clock);
  readonly referred = new Map<string, Reference>();
  readonly violations: string[] = [];
  readonly random: Random;
  /** Whether time passes between steps by itself. */
  timePasses = true;
  #names = 0;
  /** Steps of others that wait to be taken. */
  readonly #waiting: (() => void)[] = [];

  constructor(seed: string) {
    this.random = new Random(seed);
  }

  /** Lets all of them go on in the seed's order until they are done. */
  async play(actors: readonly Promise<unknown>[]): Promise<void> {
    let left = actors.length;
    for (const actor of actors)
      void actor.then(
        () => (left -= 1),
        (error: unknown) => {
          left -= 1;
          this.violations.push(String(error));
        },
      );
    while (left > 0) {
      // Whatever follows from the last step is asked for before the next one.
      await setImmediate();
      this.check();
      if (this.#waiting.length > 0)
        this.#waiting.splice(this.random.between(0, this.#waiting.length - 1), 1)[0]?.();
      if (this.timePasses && this.random.chance(0.15))
        await this.clock.advance(this.random.between(1, PROMPT_MS / 6));
    }
  }

  /** A place in an actor's life where any number of others may go first. */
  step(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Puts something, takes its time, refers to it, and looks whether it is there as long as it is referred to. */
  async writer(rounds: number): Promise<void> {
    const { artifacts } = this.mesh.portsFor(new DirectProcess('writer', this.clock));
    for (let round = 0; round < rounds; round += 1) {
      // Few texts, so that what is put was often put before, and is condemned or about to go.
      const from = this.clock.nowMs();
      const ref = await this.#put(artifacts.put.bind(artifacts));
      for (let pause = this.random.between(0, 6); pause > 0; pause -= 1) await this.step();
      if (this.clock.nowMs() - from >= PROMPT_MS) continue;
      const name = this.#refer(ref);
      await this.step();
      if (this.random.chance(0.7)) this.referred.delete(name);
    }
  }

  /** Takes a reference that it found over into one of its own, as a driver takes a cached result. */
  async follower(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      const found = [...this.referred.values()];
      const [seen, from] = [this.random.pick(found), this.clock.nowMs()];
      for (let pause = this.random.between(1, 6); pause > 0; pause -= 1) await this.step();
      if (seen === undefined || this.clock.nowMs() - from >= PROMPT_MS) continue;
      const name = this.#name();
      this.referred.set(name, seen);
      await this.step();
      if (this.random.chance(0.7)) this.referred.delete(name);
    }
  }

  /** Passes one after the other; some are killed half-way, and some stand still for as long as they like. */
  async sweeper(passes: number): Promise<SweepEnding[]> {
    const endings: SweepEnding[] = [];
    for (let pass = 0; pass < passes; pass += 1) {
      const kill = new AbortController();
      const life = this.random.chance(0.3) ? this.random.between(1, 40) : Number.POSITIVE_INFINITY;
      endings.push(
        await this.sweep({ life, kill }).catch((error: unknown) => {
          if (!kill.signal.aborted) throw error;
          return { kind: 'nothing-to-do' } as const;
        }),
      );
      for (let pause = this.random.between(1, 10); pause > 0; pause -= 1) await this.step();
    }
    return endings;
  }

  sweep(of: { life: number; readonly kill: AbortController }): Promise<SweepEnding> {
    const { shelf, artifacts } = this.mesh.portsFor(new DirectProcess('sweeper', this.clock));
    const pausing = async () => {
      of.life -= 1;
      if (of.life <= 0) of.kill.abort(new Error('killed'));
      of.kill.signal.throwIfAborted();
      await this.step();
    };
    return sweepOnce(
      {
        shelf: slowly(shelf, pausing),
        objects: artifacts,
        references: this.#references(pausing),
        retention: nothingIsOld(() => this.clock.nowMs()),
      },
      of.kill.signal,
    );
  }

  /** What is referred to, in whole, and is not there. */
  check(): void {
    const { artifacts } = this.mesh;
    for (const [name, { artifact }] of this.referred) {
      const stored = artifacts.get(artifact);
      if (stored === undefined) this.violations.push(`${name} refers to ${artifact}: swept`);
      if (stored?.ref.kind !== 'dir') continue;
      const { entries } = JSON.parse(Buffer.from(stored.bytes).toString());
      for (const { digest } of entries as { digest: ArtifactId }[])
        if (!artifacts.has(digest)) this.violations.push(`below ${artifact}: ${digest} is swept`);
    }
  }

  async #put(
    put: (ref: ArtifactRef, bytes: AsyncIterable<Uint8Array>) => Promise<void>,
  ): Promise<ArtifactRef> {
    const text = `text ${this.random.between(0, 8)}`;
    const file = sampleArtifact(new TextEncoder().encode(text));
    await put(file.ref, inPieces(file.bytes));
    if (this.random.chance(0.5)) return file.ref;
    const { digest, bytes } = file.ref;
    const entry = { kind: 'file', path: 'a', digest, bytes, executable: false };
    const listing = canonicalJson({ podmeshTree: 1, entries: [entry] });
    const dir = sampleArtifact(new TextEncoder().encode(listing), 'dir');
    await put(dir.ref, inPieces(dir.bytes));
    return dir.ref;
  }

  #refer({ digest, kind }: ArtifactRef): string {
    const name = this.#name();
    this.referred.set(name, { artifact: digest, holds: kind === 'dir' });
    return name;
  }

  #name(): string {
    this.#names += 1;
    return `reference ${this.#names}`;
  }

  /** One after the other, oldest first, as streams are read: what comes while they are read is read. */
  #references(pausing: () => Promise<void>): MeshReferences {
    const { referred } = this;
    return {
      async *read() {
        await pausing();
        for (const reference of referred.values()) {
          yield [reference];
          await pausing();
        }
      },
    };
  }
}

function slowly(shelf: ArtifactShelf, pausing: () => Promise<void>): ArtifactShelf {
  return {
    look: async () => {
      await pausing();
      return await shelf.look();
    },
    async *list(signal) {
      for await (const batch of shelf.list(signal)) {
        yield batch;
        await pausing();
      }
    },
    announce: async (note, expected) => {
      await pausing();
      return await shelf.announce(note, expected);
    },
    remove: async (entry) => {
      await pausing();
      return await shelf.remove(entry);
    },
    removeUnfinished: (horizon, signal) => shelf.removeUnfinished(horizon, signal),
    refresh: (artifacts) => shelf.refresh(artifacts),
  };
}

function nothingIsOld(nowMs: () => number): Retention {
  return {
    nowMs: async () => nowMs(),
    finishedRuns: async (): Promise<readonly FinishedRun[]> => [],
    purgeLog: async () => undefined,
    forgetRun: async () => undefined,
    async *results() {},
    forgetResult: async () => undefined,
  };
}
