import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JOBS_PER_GRAPH_MAX, PROBLEMS_LISTED_MAX } from '../words/limits.ts';
import { parseGraph } from './parse-graph.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const DIGEST = `sha256:${'0f'.repeat(32)}`;

/** A job that reads earlier ones; `before` are numbers that are brought into range by the position. */
const jobDraft = fc.record({
  before: fc.array(fc.nat(), { maxLength: 5 }),
  count: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
  memory: fc.oneof(fc.integer({ min: 0, max: 2 ** 40 }), fc.constantFrom('1G', '512MiB', '0.5t')),
  env: fc.dictionary(
    fc.stringMatching(/^[A-O][A-Z_]{0,9}$/),
    fc.oneof(
      fc.string().map((text) => text.replaceAll('\0', '')),
      fc.integer(),
      fc.boolean(),
    ),
  ),
});

const validDocument = fc.array(jobDraft, { minLength: 1, maxLength: 30 }).map((drafts) => ({
  version: 1,
  defaults: { container: 'localhost/tool:1' },
  jobs: drafts.map(({ before, count, memory, env }, position) => {
    const others = position === 0 ? [] : [...new Set(before.map((number) => number % position))];
    const element = (other: number) => (drafts[other]?.count === undefined ? '' : ':0');
    return {
      id: `j${position}`,
      outputs: { out: 'fd:1', tree: 'dir:/tmp/out' },
      inputs: Object.fromEntries(
        others.map((other, i) => [`in${i}`, `jobs:j${other}${i % 2 ? element(other) : ''}/out`]),
      ),
      after: others.slice(1).map((other) => `j${other}`),
      needs: { memory },
      env,
      ...(count === undefined ? {} : { count }),
    };
  }),
}));

/** Near enough to a document to reach every stage, wrong enough to be refused by any. */
const referenceLike = fc.oneof(
  fc.constantFrom(
    'jobs:a/o',
    'jobs:b:1/o',
    'jobs:a',
    'jobs::/',
    'file:',
    'file:x',
    DIGEST,
    'sha256:',
    'fd:0',
    'fd:99',
    'dir:/',
    'dir:/a',
    'file:/proc/x',
  ),
  fc.string(),
);
const oddJob = fc.record(
  {
    id: fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.anything()),
    container: fc.oneof(referenceLike, fc.anything()),
    env: fc.oneof(fc.array(fc.string()), fc.dictionary(fc.string(), fc.anything()), fc.anything()),
    inputs: fc.oneof(fc.dictionary(fc.string(), referenceLike), fc.anything()),
    outputs: fc.oneof(
      fc.dictionary(fc.constantFrom('o', 'p', '__proto__', 'toString'), referenceLike),
      fc.anything(),
    ),
    after: fc.oneof(fc.array(fc.constantFrom('a', 'b', 'c', 'd')), fc.anything()),
    needs: fc.oneof(
      fc.record(
        { cpus: fc.anything(), memory: fc.anything(), labels: fc.anything() },
        { requiredKeys: [] },
      ),
      fc.anything(),
    ),
    timeout: fc.oneof(fc.string(), fc.double(), fc.constantFrom('1s', '99999d')),
    count: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.anything()),
  },
  { requiredKeys: [] },
);
const oddDocument = fc.record(
  {
    version: fc.oneof({ weight: 20, arbitrary: fc.constant(1) }, fc.anything()),
    name: fc.anything(),
    defaults: fc.oneof(oddJob, fc.anything()),
    jobs: fc.oneof({ weight: 9, arbitrary: fc.array(oddJob) }, fc.anything()),
  },
  { requiredKeys: ['version', 'jobs'] },
);

/** What podmesh says itself, without what it repeats of the document. */
const withoutQuotations = (text: string) => text.replace(/"(\\.|[^"\\])*"/g, '');

describe('whatever the document', () => {
  test('a valid one is accepted, and all references lead to earlier jobs', () => {
    fc.assert(
      fc.property(validDocument, (document) => {
        const parsed = parseGraph(document, sha256);
        expect(parsed).toMatchObject({ ok: true });
        if (parsed.ok) expect(parsed.value.jobs).toHaveLength(document.jobs.length);
      }),
    );
  });

  test('an answer is given, sentences for people, the same every time', () => {
    fc.assert(
      fc.property(fc.oneof(oddDocument, fc.anything()), (document) => {
        const parsed = parseGraph(document, sha256);
        expect(parseGraph(document, sha256)).toEqual(parsed);
        if (parsed.ok) return;
        expect(parsed.error.length).toBeGreaterThan(0);
        expect(parsed.error.length).toBeLessThanOrEqual(PROBLEMS_LISTED_MAX + 1);
        for (const { path, problem, advice } of parsed.error) {
          expect(path).not.toBe('');
          expect(withoutQuotations(problem)).not.toMatch(/undefined|\[object/);
          expect(advice).toMatch(/[.?]$/);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('the largest documents', () => {
  const documentOf = (length: number, job: (position: number) => object) => ({
    version: 1,
    defaults: { container: DIGEST },
    jobs: Array.from({ length }, (_, position) => job(position)),
  });

  test('as many jobs as are allowed', () => {
    const document = documentOf(JOBS_PER_GRAPH_MAX, (i) => ({ id: `j${i}`, env: [`I=${i}`] }));
    expect(parseGraph(document, sha256)).toMatchObject({ ok: true });
  });

  test('a chain of 100,000 jobs does not overflow the stack', () => {
    const document = documentOf(100_000, (i) => ({
      id: `j${i}`,
      after: i === 0 ? [] : [`j${i - 1}`],
    }));
    expect(parseGraph(document, sha256)).toMatchObject({ ok: true });
  });

  test('a ring of 100,000 jobs is one cycle, its middle cut', () => {
    const document = documentOf(100_000, (i) => ({
      id: `j${i}`,
      after: [`j${(i + 1) % 100_000}`],
    }));
    const parsed = parseGraph(document, sha256);
    const problems = parsed.ok ? [] : parsed.error;
    expect(problems).toHaveLength(1);
    expect(problems[0]?.path).toBe('jobs[0].after[0]');
    expect(problems[0]?.problem).toMatch(/: j0 → j1 → .* → \(99,001 more\) → .* → j99999 → j0$/);
  });

  test('one job more than allowed, and a million that are none', () => {
    const parsed = parseGraph({ version: 1, jobs: new Array(1_000_000).fill(1) }, sha256);
    const problems = parsed.ok ? [] : parsed.error;
    expect(problems[0]).toMatchObject({
      path: 'jobs',
      problem: expect.stringContaining('at most 200,000'),
    });
    expect(problems).toHaveLength(PROBLEMS_LISTED_MAX + 1);
  });
});
