import {
  type ArtifactId,
  type NamedTag,
  type PeerId,
  parseMeshReference,
  type TagChange,
} from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import type { Options } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { alignColumns } from '../render/align-columns.ts';
import { printJson, printLines } from '../render/print.ts';
import { shortId } from '../render/short-id.ts';
import type { World } from '../world.ts';

/** What a tag means, or meant; without a digest it was removed. */
interface ListedTag {
  readonly name: string;
  readonly digest?: ArtifactId;
  /** The peer that it was pushed to. */
  readonly by?: PeerId;
  /** Of a history: when, by the server's clock. */
  readonly at?: string;
}

/** `podmesh image tags [NAME[:TAG]]`: the names of the mesh's images, or what one of them has meant, newest first. */
export async function imageTags(
  world: World,
  words: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [text, extra] = words;
  if (extra !== undefined) throw wrongWords(`one word too many: ${JSON.stringify(extra)}`);
  const listed = await readMesh(world, options.text('nats'), (client) => read(client, text));
  if (options.flag('json')) await printJson(world.terminal, listed);
  else await printLines(world.terminal, tableOf(listed));
  return EXIT.success;
}

async function read(client: Client, text: string | undefined): Promise<readonly ListedTag[]> {
  if (text === undefined) return sorted(await client.imageTags.list());
  const named = parseMeshReference(text) ?? parseMeshReference(`mesh/${text}`);
  if (named === undefined || named.digest !== undefined)
    throw wrongWords(`${JSON.stringify(text)} is not the name of an image of the mesh`);
  const { repository, tag = '' } = named;
  if (!/:[^/]*$/.test(text)) return sorted(await client.imageTags.list(repository));
  const history = await client.imageTags.history(repository, tag);
  return history.map((change) => pastTag(`mesh/${repository}:${tag}`, change)).reverse();
}

function sorted(tags: readonly NamedTag[]): readonly ListedTag[] {
  return tags
    .map(({ repository, tag, record: { digest, by } }) => {
      return { name: `mesh/${repository}:${tag}`, digest, by };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function pastTag(name: string, { record, at }: TagChange): ListedTag {
  return { name, at, ...(record === undefined ? {} : { digest: record.digest, by: record.by }) };
}

function tableOf(tags: readonly ListedTag[]): readonly string[] {
  if (tags.length === 0)
    return ['no such image was pushed to this mesh; push one: podman push localhost:PORT/NAME:TAG'];
  const isHistory = tags.some(({ at }) => at !== undefined);
  const header = ['IMAGE', 'MANIFEST', 'PUSHED TO', ...(isHistory ? ['WHEN'] : [])];
  const rows = tags.map(({ name, digest, by, at }) => [
    name,
    digest === undefined ? 'removed' : shortId(digest),
    by ?? '-',
    ...(at === undefined ? [] : [at]),
  ]);
  return alignColumns([header, ...rows]);
}

function wrongWords(message: string): CliError {
  return new CliError('arguments', message, { advice: 'See: podmesh image --help' });
}
