import { describe, expect, it } from 'vitest';
import { COMMAND_NAMES, COMMANDS } from './command-table.ts';
import { helpText, overviewText } from './help-text.ts';

const COLUMNS_MAX = 120;

describe('help', () => {
  it('lists every command with its summary', () => {
    const text = overviewText();
    for (const name of COMMAND_NAMES) {
      expect(text).toContain(`  ${name}`);
      expect(text).toContain(COMMANDS[name].summary);
    }
  });

  it.each(COMMAND_NAMES)('of %s tells usage, options, an example and the exit codes', (name) => {
    const text = helpText(name);
    expect(text).toContain(`Usage: podmesh ${name}`);
    expect(text).toContain('--json');
    expect(text).toContain('Examples:\n  ');
    expect(text).toContain('  3  no mesh could be reached');
    for (const option of Object.keys(COMMANDS[name].options)) expect(text).toContain(`--${option}`);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(COLUMNS_MAX);
  });
});
