import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type AnchorRecord, parseAnchorRecord } from '@podmesh/core';
import { type MeshConnection, parseMeshUrl } from '@podmesh/jetstream';
import type { DaemonParts } from '../daemon-parts.ts';
import type { StartedParts } from '../started-parts.ts';
import { killMoveAt } from '../test-hooks.ts';
import { AnchorDesk } from './anchor-desk.ts';
import { AnchorSeat } from './anchor-seat.ts';

/** How a daemon comes to its mesh. */
export interface MeshWay {
  /** Addresses with the token. */
  readonly url: string;
  /** Absent where people run the servers themselves. */
  readonly seat?: AnchorSeat;
  readonly anchors: number;
}

/** Starts what this home has of the mesh's servers, and tells where the mesh is. */
export async function openMeshWay(parts: DaemonParts, started: StartedParts): Promise<MeshWay> {
  const { configuration, home, logger, peer } = parts;
  const given = configuration.nats === undefined ? undefined : parseMeshUrl(configuration.nats);
  const named = given?.servers.length ?? 1;
  // Where somebody proves themselves by another means, other people look after the servers.
  if (given !== undefined && (given.token === undefined || given.tls))
    return { url: configuration.nats ?? '', anchors: named };
  const token = given?.token ?? (await readFile(home.at('nats', 'token'), 'utf8').catch(() => ''));
  const seat = new AnchorSeat({
    file: home.at('nats', 'seat.json'),
    folder: home.at('nats'),
    env: process.env,
    onEvent: (event) => logger.info(event, `embedded nats-server: ${event.kind}`),
    peer,
    host: '127.0.0.1',
    ...(token.trim() === '' ? {} : { token: token.trim() }),
  });
  started.add('nats-server', () => seat.stop());
  await seat.start(configuration.nats === undefined);
  const own =
    seat.seat.kind === 'open' || seat.seat.kind === 'moved' ? seat.seat.record : undefined;
  const record = newest(own, await knownRecord(home.at('mesh', 'anchors.json')));
  const clients = record?.anchors.map(({ client }) => client) ?? [];
  const servers = [...new Set([...clients, ...(given?.servers ?? [])])];
  const anchors = record?.anchors.length ?? named;
  return { url: urlOf(seat.token, servers), seat, anchors };
}

/** This peer's part in who carries the mesh, from now on. */
export async function openDesk(
  { home, logger }: DaemonParts,
  started: StartedParts,
  way: { readonly seat: AnchorSeat; readonly connection: MeshConnection },
): Promise<void> {
  const file = home.at('mesh', 'anchors.json');
  const remember = async (record: AnchorRecord): Promise<void> => {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(`${file}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    await rename(`${file}.new`, file);
  };
  const desk = new AnchorDesk({
    ...way,
    logger,
    onStep: killMoveAt(process.env, home.path),
    onRecord: (record) =>
      void remember(record).catch((error: unknown) =>
        logger.warn({ err: error }, `could not write ${file}`),
      ),
  });
  started.add('anchors', () => desk.stop());
  await desk.start();
}

export const urlOf = (token: string, servers: readonly string[]): string =>
  servers.map((server) => `nats://${token}@${server}`).join(',');

/** What was heard last of who carries the mesh; nothing where it cannot be read. */
async function knownRecord(file: string): Promise<AnchorRecord | undefined> {
  const text = await readFile(file, 'utf8').catch(() => 'null');
  try {
    return parseAnchorRecord(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function newest(
  one: AnchorRecord | undefined,
  other: AnchorRecord | undefined,
): AnchorRecord | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.generation >= other.generation ? one : other;
}
