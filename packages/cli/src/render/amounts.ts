const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** `0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return twoUnits(whole, 60, ['min', 's']);
  if (whole < 86_400) return twoUnits(Math.floor(whole / 60), 60, ['h', 'min']);
  return twoUnits(Math.floor(whole / 3_600), 24, ['d', 'h']);
}

function twoUnits(amount: number, per: number, [large, small]: readonly [string, string]): string {
  const rest = amount % per;
  return `${Math.floor(amount / per)} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`;
}

/** Time between two RFC 3339 times; empty when one is missing. */
export function spanText(from: string | undefined, to: string | undefined): string {
  if (from === undefined || to === undefined) return '';
  return durationText(Date.parse(to) - Date.parse(from));
}

/** `7.5 GiB`, `512 MiB`, `12 KiB`, `3 B`. */
export function bytesText(bytes: number): string {
  if (bytes >= GIB) return `${shortNumber(bytes / GIB)} GiB`;
  if (bytes >= MIB) return `${shortNumber(bytes / MIB)} MiB`;
  return bytes >= 1024 ? `${shortNumber(bytes / 1024)} KiB` : `${bytes} B`;
}

/** Cut at tenths: what is free must never look larger than it is. */
const shortNumber = (value: number): string => String(Math.floor(value * 10) / 10);

/** `1 task`, `3 tasks`, `12,000 tasks`. */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}
