import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock } from '@podmesh/core';
import type { Logger } from 'pino';
import type { SystemBus } from './system-bus.ts';

/** logind waits five seconds for those who hold a lock (`InhibitDelayMaxSec`). */
const GOOD_NIGHT_MS_MAX = 4_000;
/** A machine whose clocks came apart by this much has slept. */
const SLEPT_MS_MIN = 5_000;
const LOOK_MS = 2_000;
/** A bus that was not there, or went away, is looked for again. */
const RETRY_MS = 60_000;

const MANAGER = { path: '/org/freedesktop/login1', interface: 'org.freedesktop.login1.Manager' };
/** `cat` ends with our end of its pipe: a daemon that is killed keeps no machine awake. */
const INHIBIT = [
  'systemd-inhibit',
  '--what=sleep',
  '--mode=delay',
  '--who=podmesh',
  '--why=gives its tasks back before this machine sleeps',
  'cat',
] as const;

export interface SleepWatchParts {
  readonly bus: Pick<SystemBus, 'listen'>;
  /** Milliseconds since the start of the machine, its sleep included. */
  readonly uptimeMs: () => number;
  /** Gives everything back; has a few seconds. */
  readonly goodNight: () => Promise<void>;
  /** The machine is awake; of a sleep that nobody announced, too. */
  readonly goodMorning: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly env: NodeJS.ProcessEnv;
}

/** Knows when the machine is going to sleep, where logind says so, and that it slept, wherever it is. */
export class SleepWatch {
  readonly #parts: SleepWatchParts;
  readonly #stop = new AbortController();
  #lock: ChildProcess | undefined;
  #isAsleep = false;
  #loops: Promise<unknown> = Promise.resolve();

  constructor(parts: SleepWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    if (!this.#stop.signal.aborted)
      this.#loops = Promise.all([this.#compareClocks(), this.#keepListening()]);
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#letGo();
    await this.#loops;
  }

  /** The monotonic clock stands still while the machine sleeps, the other one goes on. */
  async #compareClocks(): Promise<void> {
    const { clock, uptimeMs } = this.#parts;
    const { signal } = this.#stop;
    const apartMs = (): number => uptimeMs() - clock.nowMs();
    let before = apartMs();
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      const now = apartMs();
      if (now - before >= SLEPT_MS_MIN && !this.#isAsleep && !signal.aborted) {
        this.#parts.logger.warn({ ms: Math.round(now - before) }, 'the machine has slept');
        await this.#greet();
      }
      before = now;
    }
  }

  async #keepListening(): Promise<void> {
    const { clock, logger } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const lost = new AbortController();
      try {
        await this.#listen(() => lost.abort('lost'));
        this.#hold();
        await aborted(AbortSignal.any([signal, lost.signal]));
      } catch (error) {
        logger.debug({ err: error }, 'logind does not tell when this machine sleeps');
      }
      this.#letGo();
      await clock.sleep(RETRY_MS, signal);
    }
  }

  async #listen(onBroken: () => void): Promise<void> {
    const heard = ([begins]: readonly unknown[]): void => void this.#hear(begins === true);
    await this.#parts.bus.listen(MANAGER, 'PrepareForSleep', { heard, onBroken });
  }

  async #hear(begins: boolean): Promise<void> {
    const { clock, goodNight, logger } = this.#parts;
    if (this.#stop.signal.aborted) return;
    if (!begins) {
      this.#isAsleep = false;
      this.#hold();
      return this.#greet();
    }
    this.#isAsleep = true;
    const enough = new AbortController();
    const said = goodNight()
      .catch((error: unknown) => logger.warn({ err: error }, 'could not give everything back'))
      .finally(() => enough.abort('said'));
    await Promise.race([said, clock.sleep(GOOD_NIGHT_MS_MAX, enough.signal)]);
    this.#letGo();
  }

  async #greet(): Promise<void> {
    await this.#parts.goodMorning().catch((error: unknown) => {
      this.#parts.logger.warn({ err: error }, 'could not look what became of its tasks');
    });
  }

  /** Delays the next sleep until we let go. Without the program the machine sleeps when it wants to. */
  #hold(): void {
    if (this.#lock !== undefined || this.#stop.signal.aborted) return;
    const [program, ...words] = INHIBIT;
    const { env, logger } = this.#parts;
    const lock = spawn(program, words, { stdio: ['pipe', 'ignore', 'ignore'], env });
    this.#lock = lock;
    lock.stdin?.on('error', () => undefined);
    lock.once('error', (error) => logger.debug({ err: error }, 'cannot delay a sleep'));
    lock.once('close', () => {
      if (this.#lock === lock) this.#lock = undefined;
    });
  }

  #letGo(): void {
    const lock = this.#lock;
    this.#lock = undefined;
    lock?.stdin?.end();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
