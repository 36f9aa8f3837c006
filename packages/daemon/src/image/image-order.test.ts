import { describe, expect, it } from 'vitest';
import { parseImageOrder } from './image-order.ts';

const parse = (words: string) => parseImageOrder(words.split(' ').filter(Boolean), {});

describe('the words after image', () => {
  it('tell what to build, with absolute paths', () => {
    expect(parse('build /tools --tag localhost/tool:1 --file /tools/Other --home /h')).toEqual({
      ok: true,
      value: {
        action: 'build',
        directory: '/tools',
        tag: 'localhost/tool:1',
        file: '/tools/Other',
        home: '/h',
        allowRoot: false,
      },
    });
    expect(parse('build tools --tag t')).toMatchObject({
      value: { directory: `${process.cwd()}/tools` },
    });
  });

  it('tell what to list and what to resolve', () => {
    expect(parse('ls --home /h')).toMatchObject({ ok: true, value: { action: 'ls', home: '/h' } });
    expect(parse('resolve a b --pull')).toMatchObject({
      value: { action: 'resolve', references: ['a', 'b'], pull: true },
    });
    expect(parse('resolve a')).toMatchObject({ value: { pull: false } });
  });

  it.each([
    ['', 'unknown command image'],
    ['frobnicate', 'unknown command image frobnicate'],
    ['build --tag t', 'one DIR'],
    ['build a b --tag t', 'one DIR'],
    ['build a', '--tag NAME'],
    ['ls a', 'takes no words'],
    ['resolve', 'at least one REF'],
    ['ls --wrong', '--wrong'],
  ])('are refused: %s', (words, why) => {
    const parsed = parse(words);
    expect(parsed).toMatchObject({ ok: false, error: [expect.stringContaining(why)] });
  });
});
