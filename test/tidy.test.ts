import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The rules of the house that no linter knows, read off the source tree. */
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const tracked = listFiles();
const sources = tracked.filter((path) => /^(packages|test)\/.*\.ts$/.test(path));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const TOP_LEVEL = [
  'LICENSE',
  'README.md',
  'deploy',
  'package-lock.json',
  'package.json',
  'packages',
  'podman',
  'scripts',
  'test',
  'tsconfig.json',
];
const LINES_MAX = 400;
const VAGUE = /^(utils?|helpers?|common|manager|handler|service|data|info|misc)$/;

describe('the tree', () => {
  it('shows exactly the top level that was agreed', () => {
    const top = new Set(tracked.map((path) => path.split('/')[0] ?? ''));
    expect([...top].filter((name) => !name.startsWith('.')).sort()).toEqual(TOP_LEVEL);
  });

  it('has no file that swallowed the design', () => {
    const long = sources.filter((path) => read(path).split('\n').length > LINES_MAX);
    expect(long).toEqual([]);
  });

  it('holds nothing that a compiler made', () => {
    const made = tracked.filter((path) => {
      const source = path.replace(/\.(d\.ts|js|js\.map)$/, '.ts');
      return source !== path && tracked.includes(source);
    });
    expect(made).toEqual([]);
  });

  it('has no vague file names', () => {
    const vague = sources.filter((path) =>
      basename(path)
        .replace(/\..*$/, '')
        .split('-')
        .some((word) => VAGUE.test(word) && !path.includes('podman-service')),
    );
    expect(vague).toEqual([]);
  });

  it('has no escapes from the type system and no skipped tests', () => {
    const escapes = /@ts-(ignore|expect-error|nocheck)|\b(it|test|describe)\.(only|skip|todo)\(/;
    const guilty = sources.filter(
      (path) => path !== 'test/tidy.test.ts' && escapes.test(read(path)),
    );
    expect(guilty).toEqual([]);
  });

  it('waits for facts, never for time, in tests', () => {
    const waits = /\bsetTimeout\(|\bretry:/;
    const guilty = sources
      .filter((path) => path.endsWith('.test.ts') && path !== 'test/tidy.test.ts')
      .filter((path) => waits.test(read(path)));
    expect(guilty).toEqual([]);
  });

  it('keeps download addresses out of the lock file', () => {
    const resolved = [...read('package-lock.json').matchAll(/"resolved": "([^"]+)"/g)];
    expect(resolved.map((match) => match[1]).filter((to) => to?.includes('://'))).toEqual([]);
  });

  it('gives every package a README of less than a hundred lines', () => {
    const packages = tracked.filter((path) => /^packages\/[^/]+\/package\.json$/.test(path));
    for (const path of packages) {
      const readme = read(join(dirname(path), 'README.md'));
      expect(readme.split('\n').length, path).toBeLessThan(100);
    }
  });
});

/** From git where there is one; a copy without it is listed by `find`. */
function listFiles(): readonly string[] {
  const git = ['-c', 'safe.directory=*', '-C', root, 'ls-files', '-co', '--exclude-standard'];
  return execFileSync('git', git, { encoding: 'utf8' }).split('\n').filter(Boolean);
}
