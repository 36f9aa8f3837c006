import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DOCUMENT_BYTES_MAX, type GraphProblem } from '@podmesh/core';
import { LineCounter, parseDocument } from 'yaml';
import { CliError } from '../cli-error.ts';
import { bytesText } from '../render/amounts.ts';
import type { World } from '../world.ts';
import { findJsonError } from './find-json-error.ts';

/** YAML costs about a second and 100 MB of memory per MiB; what is larger was written by a program. */
export const YAML_BYTES_MAX = 16 * 1024 * 1024;
const YAML_ERRORS_SHOWN = 10;
/** References to anchors that one document may expand to: the package's guard against "billion laughs". */
const ALIASES_MAX = 10_000;

/** What was read, before anything is known of its shape. */
export interface ReadDocument {
  readonly document: unknown;
  /** What `file:` inputs are relative to. */
  readonly directory: string;
  /** Its path, unless it came from standard input. */
  readonly file?: string;
}

type DocumentWorld = Pick<World, 'cwd' | 'stdin'>;

/** Reads a document from a file, or from standard input for `-`. Throws a `CliError` that says where it is wrong. */
export async function readDocument(world: DocumentWorld, file: string): Promise<ReadDocument> {
  if (file === '-') {
    const text = await readBounded(world.stdin, 'standard input');
    return { document: parseText(text), directory: world.cwd };
  }
  const path = resolve(world.cwd, file);
  return { document: await readFileDocument(path, file), directory: dirname(path), file: path };
}

/** What is in a document's file, called `file` in messages. Throws a `CliError`. */
export async function readFileDocument(path: string, file: string): Promise<unknown> {
  const size = await sizeOf(path, file);
  if (size > DOCUMENT_BYTES_MAX) throw tooLarge(file, size);
  return parseText(await readBounded(createReadStream(path), file));
}

async function sizeOf(path: string, file: string): Promise<number> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    const message = error.code === 'ENOENT' ? `there is no file ${file}` : error.message;
    throw new CliError('document', message, { cause: error });
  });
  if (!found.isDirectory()) return found.size;
  throw new CliError('document', `${file} is a directory`, {
    advice: 'Name the document itself, a JSON or YAML file.',
  });
}

/** All of it as text, refusing as soon as it is known to be too large. */
async function readBounded(source: AsyncIterable<Uint8Array>, name: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    bytes += piece.length;
    if (bytes > DOCUMENT_BYTES_MAX) throw tooLarge(name, bytes);
    pieces.push(piece);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  } catch (error) {
    throw new CliError('document', `${name} is not UTF-8 text`, {
      advice: 'A document is a JSON or YAML file in UTF-8.',
      cause: error,
    });
  }
}

function tooLarge(name: string, bytes: number): CliError {
  const most = bytesText(DOCUMENT_BYTES_MAX);
  return new CliError(
    'document',
    `${name} has ${bytesText(bytes)} or more, and ${most} is the most`,
    {
      advice: 'Use array jobs ("count"), put data into files, or split it into several runs.',
    },
  );
}

/** JSON or YAML, by content: JSON when it begins with a brace or bracket. Throws a `CliError` with the position. */
export function parseText(text: string): unknown {
  const start = text.trimStart();
  if (start === '') {
    throw new CliError('document', 'the document is empty', {
      advice: 'The least one is: {"version": 1, "jobs": []}',
    });
  }
  return start.startsWith('{') || start.startsWith('[') ? parseJson(text) : parseYaml(text);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { line, column, message } = findJsonError(text);
    throw new CliError('document', 'the document is not valid JSON', {
      problems: [
        problemAt({ line, column }, message, 'Repair the text there; nothing behind it was read.'),
      ],
      cause: error,
    });
  }
}

function parseYaml(text: string): unknown {
  if (text.length > YAML_BYTES_MAX) {
    throw new CliError(
      'document',
      `as YAML it may have ${bytesText(YAML_BYTES_MAX)} at most, and it has ${bytesText(text.length)}`,
      { advice: 'Write it as JSON, which may be larger and is read much faster.' },
    );
  }
  const lineCounter = new LineCounter();
  const parsed = parseDocument(text, { lineCounter, prettyErrors: false, merge: true });
  const problems = parsed.errors.slice(0, YAML_ERRORS_SHOWN).map((error) => {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    return problemAt({ line, column: col }, error.message, 'Repair the text there.');
  });
  if (problems.length > 0) {
    throw new CliError('document', 'the document is not valid YAML', { problems });
  }
  try {
    return parsed.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CliError('document', `the YAML document cannot be expanded: ${message}`, {
      cause: error,
    });
  }
}

function problemAt(
  { line, column }: { readonly line: number; readonly column: number },
  problem: string,
  advice: string,
): GraphProblem {
  return { path: `line ${line}, column ${column}`, problem, advice };
}
