const BYTE_POWERS: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4 };
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/**
 * Bytes of a number, or of text such as `512MiB` or `2G` that the schema has accepted. Every suffix
 * is a power of 1024, as `podman run --memory` reads them.
 */
export function bytesOf(quantity: number | string): number {
  if (typeof quantity === 'number') return Math.ceil(quantity);
  const suffix = quantity.replace(/^[0-9.]+ ?/, '').toLowerCase();
  return Math.ceil(Number.parseFloat(quantity) * 1024 ** (BYTE_POWERS[suffix.charAt(0)] ?? 0));
}

/** Milliseconds of a number of seconds, or of text such as `90s`, `10m`, `2h`, `1d`. */
export function millisecondsOf(duration: number | string): number {
  if (typeof duration === 'number') return Math.ceil(duration * 1_000);
  const unit = SECONDS[duration.slice(-1)] ?? 1;
  return Math.ceil(Number.parseFloat(duration) * unit * 1_000);
}
