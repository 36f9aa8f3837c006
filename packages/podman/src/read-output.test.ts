import { Readable } from 'node:stream';
import type { OutputEntry } from '@podmesh/core';
import { type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { type OpenArchive, readDirectory, readFileOutput } from './read-output.ts';

type Piece = Partial<Header> & { name: string; text?: string };

async function tarOf(...pieces: Piece[]): Promise<Buffer> {
  const archive = pack();
  for (const { text, ...header } of pieces) archive.entry(header, text ?? '');
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

async function serving(files: Record<string, Piece[]>): Promise<OpenArchive> {
  const tars = new Map<string, Buffer>();
  for (const [path, pieces] of Object.entries(files)) tars.set(path, await tarOf(...pieces));
  return async (path) => {
    const tar = tars.get(path);
    return tar && Readable.from([tar.subarray(0, 700), tar.subarray(700)]);
  };
}

async function listed(entries: AsyncIterable<OutputEntry>): Promise<string[]> {
  const lines: string[] = [];
  for await (const entry of entries) {
    if (entry.kind === 'dir') lines.push(`${entry.path}/`);
    else if (entry.kind === 'symlink') lines.push(`${entry.path}->${entry.target}`);
    else {
      let text = '';
      for await (const chunk of entry.content) text += Buffer.from(chunk).toString();
      lines.push(`${entry.path}${entry.executable ? '*' : ''}=${text}`);
    }
  }
  return lines;
}

describe('a directory output', () => {
  it('has paths below it, copies for hard links, and nothing special', async () => {
    const open = await serving({
      '/o': [
        { name: 'o', type: 'directory' },
        { name: 'o/f', text: 'abc', mode: 0o755 },
        { name: 'o/hard', type: 'link', linkname: 'o/f' },
        { name: 'o/sub', type: 'directory' },
        { name: 'o/sub/link', type: 'symlink', linkname: '../../etc/passwd' },
        { name: 'o/fifo', type: 'fifo' },
        { name: 'o/dev', type: 'character-device' },
      ],
      '/o/f': [{ name: 'f', text: 'abc' }],
    });
    const read = await readDirectory(open, '/o/');
    expect(read.ok && (await listed(read.value))).toEqual([
      'f*=abc',
      'hard=abc',
      'sub/',
      'sub/link->../../etc/passwd',
    ]);
  });

  it('never yields a path that leaves it', async () => {
    const names = ['../evil', 'o/../../evil', '/etc/passwd', 'other', 'o//x', 'o/./x', 'o/good'];
    const open = await serving({
      '/o': [{ name: 'o', type: 'directory' }, ...names.map((name) => ({ name, text: 'x' }))],
    });
    const read = await readDirectory(open, '/o');
    expect(read.ok && (await listed(read.value))).toEqual(['good=x']);
  });

  it('may be left half read', async () => {
    const open = await serving({
      '/o': [
        { name: 'o', type: 'directory' },
        { name: 'o/a', text: 'a' },
        { name: 'o/b', text: 'b' },
      ],
    });
    const read = await readDirectory(open, '/o');
    if (!read.ok) throw new Error(read.error.message);
    for await (const entry of read.value) {
      expect(entry.path).toBe('a');
      break;
    }
  });

  it('skips content that nobody read', async () => {
    const open = await serving({
      '/o': [
        { name: 'o', type: 'directory' },
        { name: 'o/a', text: 'a'.repeat(100_000) },
        { name: 'o/b', text: 'b' },
      ],
    });
    const read = await readDirectory(open, '/o');
    const paths: string[] = [];
    if (read.ok) for await (const entry of read.value) paths.push(entry.path);
    expect(paths).toEqual(['a', 'b']);
  });
});

describe('problems', () => {
  it('are told apart', async () => {
    const open = await serving({
      '/d': [{ name: 'd', type: 'directory' }],
      '/f': [{ name: 'f', text: 'x' }],
      '/p': [{ name: 'p', type: 'fifo' }],
    });
    const kind = async (read: Promise<{ ok: boolean; error?: { kind: string } }>) =>
      (await read).error?.kind;
    expect(await kind(readFileOutput(open, '/nope'))).toBe('missing');
    expect(await kind(readFileOutput(open, '/d'))).toBe('not-a-file');
    expect(await kind(readFileOutput(open, '/p'))).toBe('not-a-file');
    expect(await kind(readDirectory(open, '/f'))).toBe('not-a-directory');
  });

  it('of a broken stream reach the reader', async () => {
    const tar = await tarOf({ name: 'f', text: 'x'.repeat(5_000) });
    const open: OpenArchive = async () =>
      Readable.from(
        (async function* () {
          yield tar.subarray(0, 1_000);
          throw new Error('connection lost');
        })(),
      );
    const read = await readFileOutput(open, '/f');
    if (!read.ok) throw new Error(read.error.message);
    await expect(listed(read.value)).rejects.toThrow('connection lost');
  });
});
