import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { type ArtifactId, artifactId } from '../words/ids.ts';
import { DigestSet } from './digest-set.ts';
import { packSequences, unpackSequences } from './sequence-list.ts';

const digest = (number: number): ArtifactId =>
  artifactId(`sha256:${createHash('sha256').update(String(number)).digest('hex')}`);

it('knows what was added, however much that is, and nothing else', () => {
  const set = new DigestSet();
  for (let number = 0; number < 20_000; number += 1) expect(set.add(digest(number))).toBe(true);
  expect(set.add(digest(7))).toBe(false);
  expect(set.size).toBe(20_000);
  for (let number = 0; number < 20_000; number += 1) expect(set.has(digest(number))).toBe(true);
  for (let number = 20_000; number < 40_000; number += 1)
    expect(set.has(digest(number))).toBe(false);
});

it('takes digests that begin with zeros for what they are', () => {
  const set = new DigestSet();
  const zeros = artifactId(`sha256:${'0'.repeat(64)}`);
  expect(set.has(zeros)).toBe(false);
  expect(set.add(zeros)).toBe(true);
  expect(set.has(zeros)).toBe(true);
  expect(set.has(artifactId(`sha256:${'0'.repeat(8)}${'1'.repeat(56)}`))).toBe(false);
});

it('sequences come back as they were, in about a byte each', () => {
  const sequences = Array.from({ length: 1_000 }, (_, i) => 3 * i + 1);
  expect(packSequences(sequences)).toHaveLength(1_000);
  for (const list of [[], [1], [127, 128, 16_511, 16_512, Number.MAX_SAFE_INTEGER], sequences])
    expect(unpackSequences(packSequences(list))).toEqual(list);
});

it('bytes that are no sequences are refused', () => {
  for (const bytes of [[0], [5, 0], [128], [1, 255], Array<number>(12).fill(255).concat(1)])
    expect(unpackSequences(Uint8Array.from(bytes))).toBeUndefined();
});
