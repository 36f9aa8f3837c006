import { SimProcess } from './sim-process.ts';
import type { World } from './world.ts';

/** Starts a daemon in a fresh process; called again after every crash. A rejection fails the simulation. */
export type Boot = (process: SimProcess, machine: SimMachine) => Promise<void> | void;

/** What outlives a daemon's process: the disk, and whatever the test hangs on it. */
export class SimMachine {
  readonly name: string;
  /** Survives crashes. */
  readonly disk = new Map<string, unknown>();
  private readonly world: World;
  private readonly boot: Boot;
  private incarnation = 0;
  private current: SimProcess | undefined;
  private restarts = true;

  constructor(world: World, name: string, boot: Boot) {
    this.world = world;
    this.name = name;
    this.boot = boot;
  }

  /** The daemon's process while there is a live one. */
  get process(): SimProcess | undefined {
    return this.current?.alive ? this.current : undefined;
  }

  /** Starts the daemon unless it is running. */
  start(): void {
    if (this.process !== undefined) return;
    this.incarnation += 1;
    const process = new SimProcess(this.world, `${this.name}#${this.incarnation}`);
    this.current = process;
    this.world.note(process.name, 'boot', 'started');
    process.onDeath(() => this.died(process));
    Promise.resolve()
      .then(() => this.boot(process, this))
      .catch((error: unknown) => {
        if (process.alive) this.world.fail(error);
      });
  }

  /** SIGKILL; comes back after a while, unless `forGood`. */
  crash(options: { readonly forGood?: boolean } = {}): void {
    if (options.forGood) this.restarts = false;
    this.process?.crash('killed');
  }

  /** Thaws, reconnects or starts it, whichever it lacks. */
  heal(): void {
    this.process?.heal();
    if (this.restarts) this.start();
  }

  private died(process: SimProcess): void {
    if (!this.restarts || process.exited) return;
    this.world.after(this.world.span(this.world.plan.restartMs), () => {
      if (this.restarts && this.current === process) this.start();
    });
  }
}
