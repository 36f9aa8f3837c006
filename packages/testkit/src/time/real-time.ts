import { clearTimeout, setTimeout } from 'node:timers';
import type { Cancel, Scheduler } from './scheduler.ts';

/** Real time, for fakes outside of the simulator. */
export class RealTime implements Scheduler {
  private readonly background: boolean;

  /** `background`: what is scheduled does not keep the program alive (a server's own timers). */
  constructor(options: { readonly background?: boolean } = {}) {
    this.background = options.background ?? false;
  }

  nowMs(): number {
    return performance.now();
  }

  after(delayMs: number, action: () => void): Cancel {
    const timer = setTimeout(action, Math.max(0, delayMs));
    if (this.background) timer.unref();
    return () => clearTimeout(timer);
  }
}
