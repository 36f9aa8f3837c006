import { describe, expect, it } from 'vitest';
import { areCompatible, minorsAhead, parseRelease } from './release.ts';

describe('the release of a version', () => {
  it.each([
    ['0.1.0', { major: 0, minor: 1 }],
    ['12.34.56-rc.1+build', { major: 12, minor: 34 }],
    ['0.3', { major: 0, minor: 3 }],
    [' 0.3.1\n', { major: 0, minor: 3 }],
  ])('%j is read', (version, release) => expect(parseRelease(version)).toEqual(release));

  it.each(['', '1', 'v1.2.3', '1.x', '-1.2.3', '1.2junk', '1.9999999.0', '{"version":1}'])(
    '%j is none',
    (version) => expect(parseRelease(version)).toBeUndefined(),
  );
});

describe('two versions', () => {
  it.each([
    ['0.1.0', '0.1.9', 0, true],
    ['0.2.0', '0.1.0', 1, true],
    ['0.1.0', '0.2.0', -1, true],
    ['0.3.0', '0.1.0', 2, false],
    ['0.10.0', '0.9.0', 1, true],
    ['1.0.0', '0.9.0', Number.POSITIVE_INFINITY, false],
    ['0.9.0', '1.0.0', Number.NEGATIVE_INFINITY, false],
  ])('%s is ahead of %s by %d: together %s', (one, other, ahead, together) => {
    const [left, right] = [parseRelease(one), parseRelease(other)];
    if (left === undefined || right === undefined) throw new Error('unreadable');
    expect(minorsAhead(left, right)).toBe(ahead);
    expect(areCompatible(one, other)).toBe(together);
  });

  it('are not compatible when one is none', () => {
    expect(areCompatible('0.1.0', 'unknown')).toBe(false);
    expect(areCompatible('', '0.1.0')).toBe(false);
  });
});
