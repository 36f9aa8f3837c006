import type { ArtifactShelf, ShelfLook, ShelvedArtifact } from '@podmesh/core';
import type { Options } from '../arguments/parse-command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { alignColumns } from '../render/align-columns.ts';
import { bytesText, countText, durationText } from '../render/amounts.ts';
import { printJson, printLines } from '../render/print.ts';
import { shortId } from '../render/short-id.ts';
import type { World } from '../world.ts';

/** Artifacts that people are shown; programs are told all of them. */
const SHOWN_MAX = 20;

interface Shelf extends ShelfLook {
  readonly artifacts: readonly ShelvedArtifact[];
}

/** `podmesh cache ls --mesh`: what the object store holds. */
export function listShelf(world: World, options: Options): Promise<ExitCode> {
  return readMesh(world, options.text('nats'), async (client) => {
    const shelf = { ...(await client.shelf.look()), artifacts: await listAll(client.shelf) };
    if (options.flag('json')) await printJson(world.terminal, toldOf(shelf));
    else await printLines(world.terminal, shelfTable(shelf));
    return EXIT.success;
  });
}

async function listAll(shelf: Pick<ArtifactShelf, 'list'>): Promise<readonly ShelvedArtifact[]> {
  const all: ShelvedArtifact[] = [];
  // Ends by itself.
  for await (const batch of shelf.list(new AbortController().signal)) all.push(...batch);
  return all;
}

function toldOf({ artifacts, bytes, bytesMax, note }: Shelf) {
  const condemned = new Set(note?.value.condemned);
  return {
    bytes,
    ...(bytesMax === undefined ? {} : { bytesMax }),
    ...(note === undefined ? {} : { sweptAt: new Date(note.atMs).toISOString() }),
    artifacts: artifacts.map(({ artifact, kind, bytes, sequence }) => ({
      artifact,
      kind,
      bytes,
      goes: condemned.has(sequence),
    })),
  };
}

function shelfTable(shelf: Shelf): readonly string[] {
  const { artifacts, bytes, bytesMax } = shelf;
  const condemned = new Set(shelf.note?.value.condemned);
  const largest = [...artifacts].sort((a, b) => b.bytes - a.bytes).slice(0, SHOWN_MAX);
  const rows = largest.map((one) => [
    shortId(one.artifact),
    one.kind,
    bytesText(one.bytes),
    condemned.has(one.sequence) ? 'goes with the next sweep' : '-',
  ]);
  const table = rows.length === 0 ? [] : alignColumns([['ARTIFACT', 'KIND', 'SIZE', ''], ...rows]);
  const more = artifacts.length - largest.length;
  const bound = bytesMax === undefined ? 'without a bound' : `of at most ${bytesText(bytesMax)}`;
  return [
    ...table,
    ...(more > 0 ? [`and ${countText(more, 'smaller one')}`] : []),
    `${countText(artifacts.length, 'artifact')}; ${bytesText(bytes)} ${bound}`,
    sweptText(shelf),
  ];
}

function sweptText({ nowMs, note }: ShelfLook): string {
  if (note === undefined) return 'not swept yet';
  const { condemned, removed } = note.value;
  const ago = durationText(Math.max(0, nowMs - note.atMs));
  return `swept ${ago} ago: ${countText(removed, 'artifact')} removed, ${condemned.length} to go unless they are needed again`;
}
