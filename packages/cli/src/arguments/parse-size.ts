import { bytesOf } from '@podmesh/core';
import { CliError } from '../cli-error.ts';

/** Reads an amount such as `20GiB` or `512m`, or a number of bytes. Throws a `CliError`. */
export function parseSize(option: string, text: string): number {
  // As the daemon reads its own amounts.
  const bytes = /^\d+(\.\d+)? ?([kmgt]i?b?)?$/i.test(text) ? bytesOf(text) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new CliError('arguments', `--${option} ${text} is no amount of bytes`, {
    advice: 'Give bytes or an amount like 20GiB.',
  });
}
