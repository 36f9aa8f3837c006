import { millisecondsOf } from '@podmesh/core';
import { CliError } from '../cli-error.ts';

/** Reads a time such as `90s`, `10m` or `1h`; milliseconds. Throws a `CliError`. */
export function parseDuration(option: string, text: string): number {
  const isTime = /^\d+(\.\d+)?[smhd]$/.test(text) || text === '0';
  if (isTime) return millisecondsOf(text === '0' ? 0 : text);
  throw new CliError('arguments', `--${option} ${text} is no time`, {
    advice: 'Give a time such as 90s, 10m or 1h.',
  });
}
