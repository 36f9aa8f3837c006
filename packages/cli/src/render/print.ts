import type { Terminal } from '../terminal.ts';
import { sanitise } from './sanitise.ts';

/** Lines for people on standard output. */
export async function printLines(terminal: Terminal, lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await terminal.out(`${lines.map(sanitise).join('\n')}\n`);
}

/** One JSON value on one line of standard output. */
export async function printJson(terminal: Terminal, value: unknown): Promise<void> {
  await terminal.out(`${JSON.stringify(value)}\n`);
}
