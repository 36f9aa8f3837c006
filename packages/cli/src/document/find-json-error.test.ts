import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findJsonError } from './find-json-error.ts';

describe('findJsonError', () => {
  it.each([
    ['{"a": 1,}', 1, 9, '"}" stands where a name in double quotes should be'],
    ['{"a": 1\n "b": 2}', 2, 2, 'a comma or }'],
    ['[1, 2', 1, 6, 'the text ends where a comma or ] should be'],
    ['{a: 1}', 1, 2, '"a" stands where a name in double quotes, or } should be'],
    ["{'a': 1}", 1, 2, 'a name in double quotes'],
    ['{"a" 1}', 1, 6, 'a colon'],
    ['{"a": tru}', 1, 7, '"t" stands where a value should be'],
    ['{"a": 01}', 1, 8, 'a comma or }'],
    ['[1] x', 1, 5, 'the end'],
    ['["a\nb"]', 1, 4, 'the rest of a string'],
    ['["a\\x"]', 1, 4, 'the rest of a string'],
    ['["open', 1, 7, 'the text ends where the rest of a string'],
  ])('%j: line %i, column %i', (text, line, column, message) => {
    expect(() => JSON.parse(text)).toThrow();
    const found = findJsonError(text);
    expect([found.line, found.column]).toEqual([line, column]);
    expect(found.message).toContain(message);
  });

  it('agrees with JSON.parse wherever that tells a position', () => {
    const broken = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '}', ']', '"', '\n', 'x', '0'))
      .map(([text, at, put]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + put + text.slice(place + 1);
      });
    fc.assert(
      fc.property(broken, (text) => {
        const position = positionOf(text);
        if (position === undefined) return;
        const { line, column } = findJsonError(text);
        const before = text.slice(0, position);
        expect([line, column]).toEqual([
          before.split('\n').length,
          position - before.lastIndexOf('\n'),
        ]);
      }),
    );
  });

  it('is not stopped by depth or length', () => {
    expect(findJsonError('['.repeat(1_000_000)).column).toBe(1_000_001);
    expect(findJsonError(`["${'x'.repeat(4_000_000)}`).column).toBe(4_000_003);
  });
});

/** Where V8 says that the text is wrong; for many mistakes it does not, or names the letter inside of a word. */
function positionOf(text: string): number | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const told = /(Expected|non-whitespace|Bad control|Unterminated string).* at position (\d+)/;
    const position = told.exec(String(error))?.[2];
    return position === undefined ? undefined : Number(position);
  }
}
