/** From the one to the other, 0 where that has passed; undefined for what is no time. */
export function millisecondsBetween(nowMs: number, then: string): number | undefined {
  const thenMs = Date.parse(then);
  return Number.isNaN(thenMs) ? undefined : Math.max(0, thenMs - nowMs);
}
