const DAY_ONE_MS = Date.UTC(2026, 0, 1);

/** Virtual milliseconds as a date, so that logs of equal runs are equal. */
export function wallTime(nowMs: number): string {
  return new Date(DAY_ONE_MS + nowMs).toISOString();
}
