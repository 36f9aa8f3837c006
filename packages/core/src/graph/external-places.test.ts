import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseGraph } from './parse-graph.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const DIGEST = `sha256:${'a'.repeat(64)}`;

function parse(job: object, top: object = {}) {
  const whole = { id: 'a', container: 'localhost/busybox:1', command: ['true'], ...job };
  return parseGraph({ version: 1, ...top, jobs: [whole] }, sha256);
}

function jobOf(job: object, top: object = {}) {
  const parsed = parse(job, top);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value.jobs[0];
}

function problemsOf(job: object, top: object = {}): string[] {
  const parsed = parse(job, top);
  return parsed.ok ? [] : parsed.error.map(({ path, problem }) => `${path}: ${problem}`);
}

const secrets = { id: { env: 'S3_ID' }, key: { file: 'key.txt' }, own: { peer: { env: 'OWN' } } };

describe('inputs of stores outside of the mesh', () => {
  it('are written as text or with a digest', () => {
    const inputs = {
      a: 'https://data.example.org/a.csv?version=2',
      b: { from: 's3://bucket/some/key', digest: DIGEST },
    };
    expect(jobOf({ inputs })?.inputs).toEqual({
      a: { kind: 'external', place: { kind: 'https', url: inputs.a } },
      b: {
        kind: 'external',
        place: { kind: 's3', bucket: 'bucket', key: 'some/key' },
        digest: DIGEST,
      },
    });
  });

  it('are reached as the longest fitting beginning says', () => {
    const stores = {
      's3://bucket': { endpoint: 'https://one.example.org' },
      's3://bucket/some': {
        endpoint: 'http://127.0.0.1:9000',
        region: 'here',
        accessKeyId: 'id',
        secretAccessKey: 'key',
      },
      's3://buck': { endpoint: 'https://wrong.example.org' },
    };
    const job = jobOf({ inputs: { a: 's3://bucket/some/key' } }, { stores, secrets });
    expect(job?.inputs.a).toEqual({
      kind: 'external',
      place: { kind: 's3', bucket: 'bucket', key: 'some/key', ...stores['s3://bucket/some'] },
    });
  });

  it.each([
    ['http://data.example.org/a', /in clear/],
    ['https://user:password@example.org/a', /user name or a password/],
    ['https://example.org/a?X-Amz-Signature=abc', /lets in whoever reads it/],
    ['https://example.org/a?x=1&sig=abc', /lets in whoever reads it/],
    ['s3://UPPER/key', /not the address/],
    ['s3://bucket', /not the address/],
    ['secret:unknown', /no secret/],
    ['ftp://example.org', /not written in a way/],
  ])('are refused as %s', (from, problem) => {
    const [found = ''] = problemsOf({ inputs: { a: from } });
    expect(found).toMatch(problem);
    expect(found).not.toMatch(/abc|password@/);
  });

  it('say which secret is missing, and that keys of S3 come in pairs', () => {
    const stores = { 's3://bucket': { accessKeyId: 'id', secretAccessKey: 'kee' } };
    const job = { inputs: { a: 's3://bucket/key' } };
    expect(problemsOf(job, { stores, secrets })).toEqual([
      'jobs[0].inputs.a: there is no secret "kee"',
    ]);
    const half = { 's3://bucket': { accessKeyId: 'id' } };
    expect(problemsOf(job, { stores: half, secrets })[0]).toMatch(/belong together/);
  });
});

describe('outputs that are delivered', () => {
  it('are outputs like others, with a place besides', () => {
    const outputs = {
      a: { file: '/tmp/a', to: 's3://bucket/a' },
      b: { fd: 1, to: 'secret:id' },
      c: 'dir:/tmp/c',
    };
    const job = jobOf({ outputs }, { secrets });
    expect(job?.outputs).toEqual({
      a: { kind: 'file', path: '/tmp/a' },
      b: { kind: 'fd', fd: 1 },
      c: { kind: 'dir', path: '/tmp/c' },
    });
    expect(job?.deliveries).toEqual({
      a: { kind: 's3', bucket: 'bucket', key: 'a' },
      b: { kind: 'secret', secret: 'id' },
    });
  });

  it('must not write over each other in array jobs', () => {
    const outputs = { a: { file: '/tmp/a', to: 's3://bucket/a' } };
    expect(problemsOf({ outputs, count: 2 })[0]).toMatch(/same place/);
    const each = { a: { file: '/tmp/a', to: 's3://bucket/a-{index}' } };
    expect(problemsOf({ outputs: each, count: 2 })).toEqual([]);
  });

  it('may be directories where each file can be an object of its own', () => {
    const outputs = { a: { dir: '/tmp/a', to: 's3://bucket/runs/' } };
    const job = jobOf({ outputs });
    expect(job?.outputs).toEqual({ a: { kind: 'dir', path: '/tmp/a' } });
    expect(job?.deliveries).toEqual({ a: { kind: 's3', bucket: 'bucket', key: 'runs/' } });
    const to = (place: string) => ({ outputs: { a: { dir: '/tmp/a', to: place } } });
    expect(problemsOf(to('s3://bucket/runs'))).toEqual([
      expect.stringMatching(/names one object, and a directory has many files$/),
    ]);
    for (const place of ['https://example.org/put/', 'secret:id'])
      expect(problemsOf(to(place), { secrets })).toEqual([
        expect.stringMatching(/cannot be delivered to .*, which takes one file$/),
      ]);
  });

  it('are a file, a directory or a descriptor', () => {
    expect(problemsOf({ outputs: { a: { to: 's3://bucket/a' } } })).toHaveLength(1);
    const both = { file: '/tmp/a', fd: 1, to: 's3://bucket/a' };
    expect(problemsOf({ outputs: { a: both } })).toHaveLength(1);
    const two = { file: '/tmp/a', dir: '/tmp/b', to: 's3://bucket/a/' };
    expect(problemsOf({ outputs: { a: two } })).toHaveLength(1);
  });
});

describe('secrets', () => {
  it('are variables or files of a task, and references of the document', () => {
    const job = { secrets: { TOKEN: 'id', 'key.pem': { file: 'key' } } };
    const parsed = parse(job, { secrets });
    if (!parsed.ok) throw new Error('refused');
    expect(parsed.value.jobs[0]?.secrets).toEqual({
      env: { TOKEN: 'id' },
      files: { 'key.pem': 'key' },
    });
    expect(parsed.value.secrets).toEqual({
      id: { from: 'publisher', env: 'S3_ID' },
      key: { from: 'publisher', file: 'key.txt' },
      own: { from: 'peer', env: 'OWN' },
    });
  });

  it.each([
    [{ 'not-a-variable': 'id' }, /cannot be the name of an environment variable/],
    [{ PODMESH_X: 'id' }, /reserved/],
    [{ SET: 'id' }, /set under "env" already/],
    [{ A: 'other' }, /there is no secret "other"/],
    [JSON.parse('{"__proto__": "id"}'), /__proto__/],
    [JSON.parse('{"__proto__": {"file": "id"}}'), /__proto__/],
  ])('are refused as %j', (own, problem) => {
    expect(problemsOf({ env: { SET: '1' }, secrets: own }, { secrets })[0]).toMatch(problem);
  });

  it('are named by no word that programs understand otherwise', () => {
    const named = JSON.parse('{"__proto__": {"env": "A"}}');
    expect(problemsOf({}, { secrets: named })[0]).toMatch(/__proto__/);
  });

  it('are one reference each, and never a value', () => {
    expect(problemsOf({}, { secrets: { a: { env: 'A', file: 'b' } } })).toHaveLength(1);
    expect(problemsOf({}, { secrets: { a: {} } })).toHaveLength(1);
    expect(problemsOf({}, { secrets: { a: 'value' } })).toHaveLength(1);
    expect(problemsOf({}, { secrets: { a: { value: 'value' } } })).toHaveLength(1);
    expect(problemsOf({}, { secrets: { a: { peer: { file: '../../etc/passwd' } } } })).toHaveLength(
      1,
    );
  });
});
