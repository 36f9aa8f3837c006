import { describe, expect, it } from 'vitest';
import { isFetchedElsewhere } from './fetched-elsewhere.ts';

describe('a document', () => {
  it.each([
    '{"layers":[{"urls":["http://169.254.169.254/"]}]}',
    '{"config":{"digest":"x","urls" : [ "http://x" ]}}',
    '{"Layers":[{"URLs":["http://x"]}]}',
    '{"layers":[{"url\u017f":["http://x"]}]}',
    '{"layers":[{"\\u0075\\u0072\\u006C\\u0073":["http://x"]}]}',
    // Of two of a name a reader may merge both.
    '{"layers":[{"urls":["http://x"]}],"layers":[{}]}',
    '{"a":"\\"","b\\\\":"urls","urls":[7]}',
  ])('says where else its parts may be: %s', (text) => {
    expect(isFetchedElsewhere(text)).toBe(true);
  });

  it.each([
    '{"layers":[{"urls":[]},{"urls":[ ]},{"urls":null}]}',
    '{"annotations":{"urls":"http://x","curls":["x"]}}',
    '{"comment":"\\"urls\\":[7]"}',
    '{"urls',
    '',
  ])('says nothing of it: %s', (text) => {
    expect(isFetchedElsewhere(text)).toBe(false);
  });

  it.each(['"', '\\', '\\"', 'x', ' ', '"a":', '"":[', '[', '{"a":'])(
    'of nothing but %s is read in one go',
    (piece) => {
      const many = piece.repeat((4 * 1024 * 1024) / piece.length);
      for (const begin of ['', '{"', '{"a'])
        expect(isFetchedElsewhere(`${begin}${many}\\`)).toBe(false);
    },
  );
});
