import { systemClock } from '@podmesh/daemon';
import type { PublishedRun } from '../process-kit/published-run.ts';
import type { NightMachine } from './night-machine.ts';
import type { NightMesh } from './night-mesh.ts';
import type { Blow, NightPlan } from './night-plan.ts';

/** A blow that fell: milliseconds since 1970, of this machine's clock. */
export interface Fallen extends Blow {
  readonly fromMs: number;
  /** When all was as before; undefined for what lasts. */
  toMs: number | undefined;
}

/** Lets the blows of a plan fall on the machines while a run goes on. */
export class NightStorm {
  readonly fallen: Fallen[] = [];
  readonly #night: NightMesh;
  readonly #run: PublishedRun;
  readonly #tasks: number;
  readonly #since = Date.now();

  constructor(night: NightMesh, parts: { readonly run: PublishedRun; readonly tasks: number }) {
    this.#night = night;
    this.#run = parts.run;
    this.#tasks = parts.tasks;
  }

  /** Resolves when every blow has fallen and been mended, but for those that last. */
  async rage({ anchors, others }: NightPlan): Promise<void> {
    await Promise.all([this.#inOrder(anchors), ...others.map((blow) => this.#inOrder([blow]))]);
  }

  /** Whether the machine was under a blow, or just out of one, at that time. */
  explains(machine: string, atMs: number, graceMs: number): boolean {
    return this.fallen.some(
      ({ machine: hit, fromMs, toMs = Number.POSITIVE_INFINITY }) =>
        hit === machine && atMs >= fromMs - graceMs && atMs <= toMs + graceMs,
    );
  }

  async #inOrder(blows: readonly Blow[]): Promise<void> {
    for (const blow of blows) {
      await this.#untilDue(blow);
      await this.#strike(blow);
    }
  }

  async #untilDue({ afterSeconds, afterShare }: Blow): Promise<void> {
    const leftMs = afterSeconds * 1_000 - (Date.now() - this.#since);
    if (leftMs > 0) await systemClock.sleep(leftMs);
    const finished = (): number => this.#run.of('attempt-succeeded').length;
    if (finished() / this.#tasks >= afterShare) return;
    for await (const { event } of this.#run.each(this.#run.facts.length)) {
      if (event.kind === 'run-ended') return;
      if (finished() / this.#tasks >= afterShare) return;
    }
  }

  async #strike(blow: Blow): Promise<void> {
    const machine = this.#night.machines.find(({ role }) => role === blow.machine);
    if (machine === undefined) throw new TypeError(`nobody is called ${blow.machine}`);
    const fallen: Fallen = { ...blow, fromMs: Date.now(), toMs: undefined };
    this.fallen.push(fallen);
    const seconds = Math.round((fallen.fromMs - this.#since) / 1_000);
    const done = this.#run.of('attempt-succeeded').length;
    console.log(`${seconds} s, ${done}/${this.#tasks}: ${blow.kind} ${blow.machine}`);
    const mend = await this.#befall(blow, machine);
    if (blow.seconds === undefined) return;
    await systemClock.sleep(blow.seconds * 1_000);
    await mend();
    await this.#night.untilCaughtUp(machine);
    fallen.toMs = Date.now();
  }

  /** What makes it good again. */
  async #befall({ kind }: Blow, machine: NightMachine): Promise<() => Promise<unknown>> {
    switch (kind) {
      case 'cut':
        await machine.leaf.cut();
        return () => machine.leaf.mend();
      case 'kill':
        await machine.kill();
        return () => machine.start();
      case 'power-loss':
        await machine.losePower();
        return () => machine.start();
      case 'freeze':
        await machine.freeze();
        return () => machine.thaw();
      case 'fill-disk':
        await machine.smallDisk.fill();
        return () => machine.smallDisk.makeRoom();
    }
  }
}
