import type { OutputEntry, OutputRef, RunningContainer } from '@podmesh/core';

/** The entries of an output, one line each; or why there are none. */
export async function listing(
  container: RunningContainer,
  output: OutputRef,
): Promise<string[] | string> {
  const read = await container.readOutput(output);
  if (!read.ok) return read.error.kind;
  const lines: string[] = [];
  for await (const entry of read.value) lines.push(await line(entry));
  return lines;
}

async function line(entry: OutputEntry): Promise<string> {
  if (entry.kind === 'dir') return `${entry.path}/`;
  if (entry.kind === 'symlink') return `${entry.path}->${entry.target}`;
  return `${entry.path}${entry.executable ? '*' : ''}=${await bytes(entry.content)}`;
}

/** The bytes of an output that is one file. */
export async function textOf(container: RunningContainer, output: OutputRef): Promise<string> {
  const read = await container.readOutput(output);
  if (!read.ok) throw new Error(read.error.message);
  let found = '';
  for await (const entry of read.value)
    if (entry.kind === 'file') found += await bytes(entry.content);
  return found;
}

async function bytes(content: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}
