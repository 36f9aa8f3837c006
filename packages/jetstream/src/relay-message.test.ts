import { ARTIFACT_BYTES_MAX, CHUNK_BYTES, RELAY_PART_BYTES } from '@podmesh/core';
import { expect, test } from 'vitest';
import {
  decodeChunkList,
  decodeRelayQuestion,
  encodeChunkList,
  encodedListBytes,
  encodeRelayQuestion,
  partBytes,
  partOf,
  partsOf,
  type RelayQuestion,
} from './relay-message.ts';
import { digest } from './samples.test-kit.ts';

const artifact = digest(5);
const chunk = { artifact, index: 3, offset: 3 * CHUNK_BYTES, bytes: 1_000_000 };

test('questions come through as they are', () => {
  const questions: RelayQuestion[] = [
    { kind: 'list', artifact, part: 2 },
    { kind: 'chunk', chunk, part: 3 },
    { kind: 'chunk', chunk: { ...chunk, bytes: 1 }, part: 0 },
  ];
  for (const question of questions)
    expect(decodeRelayQuestion(encodeRelayQuestion(question))).toEqual(question);
});

test('what asks for nothing that can exist is no question', () => {
  const good = encodeRelayQuestion({ kind: 'chunk', chunk, part: 0 });
  const last = ARTIFACT_BYTES_MAX / CHUNK_BYTES;
  const asking = (change: Partial<typeof chunk>, part = 0): Uint8Array =>
    encodeRelayQuestion({ kind: 'chunk', chunk: { ...chunk, ...change }, part });
  const garbage = [
    new Uint8Array(0),
    good.subarray(1),
    Buffer.concat([good, Buffer.of(0)]),
    asking({ bytes: 0 }),
    asking({ bytes: CHUNK_BYTES + 1 }),
    asking({ index: last }),
    asking({}, 4),
    encodeRelayQuestion({ kind: 'list', artifact, part: 3 }),
  ];
  for (const bytes of garbage) expect(decodeRelayQuestion(bytes)).toBeUndefined();
  expect(decodeRelayQuestion(asking({ index: last - 1 }))).toBeDefined();
});

test('parts cover the bytes', () => {
  for (const size of [1, RELAY_PART_BYTES, RELAY_PART_BYTES + 1, CHUNK_BYTES]) {
    const bytes = new Uint8Array(size);
    const parts = Array.from({ length: partsOf(size) }, (_, part) => partOf(bytes, part).length);
    expect(parts).toEqual(parts.map((_, part) => partBytes(size, part)));
    expect(parts.reduce((sum, length) => sum + length, 0)).toBe(size);
  }
});

test('a chunk list says how long it is before it is there', () => {
  for (const bytes of [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, ARTIFACT_BYTES_MAX]) {
    const count = Math.ceil(bytes / CHUNK_BYTES);
    const digests = Array.from({ length: count }, (_, at) => at.toString(16).padStart(64, '0'));
    const encoded = encodeChunkList({ bytes, digests });
    expect(encodedListBytes(encoded.subarray(0, 8))).toBe(encoded.length);
    expect(decodeChunkList(encoded)).toEqual({ bytes, digests });
  }
  expect(encodedListBytes(new Uint8Array(7))).toBeUndefined();
  expect(encodedListBytes(new Uint8Array(8).fill(255))).toBeUndefined();
});
