import { describe, expect, it } from 'vitest';
import { parseOutputTarget, parseRun, parseRunTarget } from './parse-target.ts';

const DIGEST = `sha256:${'0'.repeat(64)}`;

describe('parse-target', () => {
  it('reads runs and tasks', () => {
    expect(parseRunTarget('last')).toEqual({ run: 'last' });
    expect(parseRunTarget('ab12/j1:3')).toEqual({ run: 'ab12', task: 'j1:3' });
    expect(parseRun('ab12')).toBe('ab12');
  });

  it('reads outputs and digests', () => {
    expect(parseOutputTarget(DIGEST)).toEqual({ kind: 'artifact', artifact: DIGEST });
    expect(parseOutputTarget('last/j1:3/a/b')).toEqual({
      kind: 'output',
      run: 'last',
      task: 'j1:3',
      output: 'a/b',
    });
  });

  it.each(['', '/j1', 'run/', 'run/j1/out'])('refuses %j as a run or task', (text) => {
    expect(() => parseRunTarget(text)).toThrow(/does not name a run/);
  });

  it('refuses a task where a whole run is wanted, and what cannot be a task', () => {
    expect(() => parseRun('last/j1')).toThrow(/names a task/);
    expect(() => parseRunTarget('last/j 1')).toThrow(/cannot be a task/);
  });

  it.each(['last', 'last/j1', 'last/j1/', 'sha256:abc'])('refuses %j as an output', (text) => {
    expect(() => parseOutputTarget(text)).toThrow(/does not name an output/);
  });
});
