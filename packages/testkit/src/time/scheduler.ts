/** Takes back something scheduled; harmless afterwards. */
export type Cancel = () => void;

/** Where a fake gets its time from: virtual in the simulator, real in benches. */
export interface Scheduler {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Runs `action` once, `delayMs` from now. */
  after(delayMs: number, action: () => void): Cancel;
}
