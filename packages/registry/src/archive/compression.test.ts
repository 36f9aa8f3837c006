import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { compressionOf } from './compression.ts';

it.each([
  ['gzip', gzipSync('what it is')],
  ['bzip2', Buffer.from('BZh91AY&SY')],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x24])],
] as const)('knows %s by its beginning', (kind, bytes) => {
  expect(compressionOf(bytes)).toBe(kind);
});

it.each([
  ['a tar archive', Buffer.from('manifest.json\0\0\0')],
  ['too little of one', Buffer.from([0xfd, 0x37, 0x7a])],
  ['nothing', Buffer.of()],
  ['the beginning of one elsewhere', Buffer.concat([Buffer.of(0), gzipSync('x')])],
])('finds none in %s', (_, bytes) => {
  expect(compressionOf(bytes)).toBeUndefined();
});
