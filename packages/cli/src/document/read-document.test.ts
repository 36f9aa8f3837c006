import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DOCUMENT_BYTES_MAX } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { CliError } from '../cli-error.ts';
import { temporaryDirectory } from '../fake-world.test-kit.ts';
import { parseText, readDocument, YAML_BYTES_MAX } from './read-document.ts';

async function* pieces(...all: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of all) yield typeof piece === 'string' ? Buffer.from(piece) : piece;
}

const nothing = pieces();

async function refusal(reading: Promise<unknown>): Promise<CliError> {
  const error = await reading.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof CliError) return error;
  throw new Error(`not refused: ${String(error)}`);
}

function problemsOf(text: string): CliError['problems'] {
  try {
    parseText(text);
  } catch (error) {
    if (error instanceof CliError) return error.problems;
  }
  throw new Error('was accepted');
}

describe('readDocument', () => {
  it('reads JSON and YAML by content, whatever the file is called', async () => {
    const cwd = temporaryDirectory();
    await writeFile(join(cwd, 'a.yaml'), ' {"version": 1}');
    await writeFile(join(cwd, 'b.json'), 'version: 1\njobs: []\n');
    const world = { cwd, stdin: nothing };
    expect((await readDocument(world, 'a.yaml')).document).toEqual({ version: 1 });
    expect((await readDocument(world, 'b.json')).document).toEqual({ version: 1, jobs: [] });
  });

  it('is relative to the document, and to the current directory for standard input', async () => {
    const cwd = temporaryDirectory();
    await mkdir(join(cwd, 'sub'));
    await writeFile(join(cwd, 'sub', 'a.json'), '{}');
    const stdin = pieces('{"ver', 'sion": 1}');
    expect(await readDocument({ cwd, stdin }, '-')).toEqual({
      document: { version: 1 },
      directory: cwd,
    });
    const read = await readDocument({ cwd, stdin: nothing }, 'sub/a.json');
    expect(read.directory).toBe(join(cwd, 'sub'));
  });

  it('refuses what is too large before reading it', async () => {
    const cwd = temporaryDirectory();
    await writeFile(join(cwd, 'big.json'), '{');
    await truncate(join(cwd, 'big.json'), DOCUMENT_BYTES_MAX + 1);
    const refused = await refusal(readDocument({ cwd, stdin: nothing }, 'big.json'));
    expect([refused.kind, refused.exitCode]).toEqual(['document', 2]);
    expect(refused.message).toContain('64 MiB is the most');
  });

  it('stops reading standard input that is too large', async () => {
    const part = new Uint8Array(16 * 1024 * 1024);
    let given = 0;
    const endless = (async function* () {
      for (;;) {
        given += 1;
        yield part;
      }
    })();
    const refused = await refusal(readDocument({ cwd: '/', stdin: endless }, '-'));
    expect(refused.message).toContain('standard input has');
    expect(given).toBe(5);
  });

  it.each([
    ['missing.json', 'there is no file missing.json'],
    ['.', 'is a directory'],
  ])('refuses %s', async (file, message) => {
    const refused = await refusal(readDocument({ cwd: '/', stdin: nothing }, file));
    expect(refused.message).toContain(message);
    expect(refused.exitCode).toBe(2);
  });

  it('refuses what is not text, and what is empty', async () => {
    const world = { cwd: '/', stdin: pieces(new Uint8Array([0x7b, 0xff, 0xfe])) };
    expect((await refusal(readDocument(world, '-'))).message).toContain('not UTF-8');
    expect(() => parseText(' \n')).toThrow(/empty/);
  });
});

describe('parseText', () => {
  it('says where JSON and YAML are wrong', () => {
    expect(problemsOf('{"version": 1,\n  "jobs": [}')).toEqual([
      {
        path: 'line 2, column 12',
        problem: '"}" stands where a value should be',
        advice: expect.any(String),
      },
    ]);
    const [first] = problemsOf('version: 1\njobs:\n\t- id: a\n');
    expect(first?.path).toMatch(/^line 3, column 1/);
    expect(first?.problem).toMatch(/tab/i);
    expect(problemsOf('a: 1\na: 2\n')[0]).toMatchObject({ path: 'line 2, column 1' });
    expect(problemsOf('a: 1\n---\nb: 2\n')[0]?.problem).toMatch(/multiple documents/);
  });

  it('reads anchors and merge keys, and refuses a document that would explode', () => {
    expect(parseText('base: &b {x: 1}\njob: {<<: *b, y: 2}\n')).toEqual({
      base: { x: 1 },
      job: { x: 1, y: 2 },
    });
    const levels = Array.from({ length: 9 }, (_, level) => {
      const item = level === 0 ? 'x' : `*a${level - 1}`;
      return `a${level}: &a${level} [${Array(9).fill(item).join(', ')}]`;
    });
    expect(() => parseText(levels.join('\n'))).toThrow(/cannot be expanded/);
  });

  it('sends large YAML to JSON', () => {
    const text = `version: 1\n# ${'x'.repeat(YAML_BYTES_MAX)}`;
    expect(() => parseText(text)).toThrow(/as YAML it may have 16 MiB/);
  });
});
