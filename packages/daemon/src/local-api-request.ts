import type { IncomingMessage } from 'node:http';
import { type ArtifactId, artifactId, isDigest, type PeerOrder } from '@podmesh/core';

/** Of one request, all of it: some 13,000 digests. */
const BODY_BYTES_MAX = 1024 * 1024;
const DRAINED_BYTES_MAX = 16 * BODY_BYTES_MAX;
/** A week: whoever wants longer drains again. */
const DEADLINE_MS_MAX = 7 * 24 * 60 * 60_000;
/** Artifacts of one request. */
export const ARTIFACTS_MAX = 10_000;

/** What was asked for cannot be had: an answer, and no failure of the daemon. */
export class ApiRefusal extends Error {
  readonly status: number;
  readonly advice: string;

  constructor(status: number, message: string, advice: string) {
    super(message);
    this.name = 'ApiRefusal';
    this.status = status;
    this.advice = advice;
  }
}

/**
 * All that a request carries. Also what is refused is read to its end, up to a point: a connection that is closed on
 * what was not read loses the answer. Throws `ApiRefusal`.
 */
export function readBytes(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    const tooLarge = (): void => {
      const advice = `Ask in parts of at most ${BODY_BYTES_MAX} bytes.`;
      reject(new ApiRefusal(413, 'the request is too large', advice));
    };
    request.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= BODY_BYTES_MAX) pieces.push(piece);
      else pieces.length = 0;
      if (bytes <= DRAINED_BYTES_MAX) return;
      request.pause();
      tooLarge();
    });
    request.once('end', () => {
      if (bytes > BODY_BYTES_MAX) tooLarge();
      else resolve(Buffer.concat(pieces));
    });
    request.once('error', reject);
    request.once('close', () => reject(new Error('the request broke off')));
  });
}

/** The JSON in it; undefined where there is nothing. Throws `ApiRefusal`. */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw wrong('the body is no JSON');
  }
}

/** Nothing at all may be said. */
export function parseNothing(body: unknown): void {
  if (body !== undefined) throw wrong('this takes no body');
}

/** `{artifacts: [digest, …]}`, each once; undefined where none are named. */
export function parseArtifacts(body: unknown): readonly ArtifactId[] | undefined {
  const { artifacts } = membersOf(body, ['artifacts']);
  if (artifacts === undefined) return undefined;
  if (!Array.isArray(artifacts)) throw wrong('"artifacts" is no list');
  if (artifacts.length === 0 || artifacts.length > ARTIFACTS_MAX)
    throw wrong(`"artifacts" has ${artifacts.length} entries; 1 to ${ARTIFACTS_MAX} are taken`);
  return [
    ...new Set(
      artifacts.map((named: unknown) => {
        if (typeof named === 'string' && isDigest(named)) return artifactId(named);
        throw wrong(`${shown(named)} is no digest`, 'A digest is sha256: and 64 hex digits.');
      }),
    ),
  ];
}

/** The same where some have to be named. */
export function parseNamedArtifacts(body: unknown): readonly ArtifactId[] {
  const artifacts = parseArtifacts(body);
  if (artifacts === undefined) throw wrong('"artifacts" is missing');
  return artifacts;
}

/** `{toBytes?: number}` */
export function parsePrune(body: unknown): { readonly to?: number } {
  const { toBytes } = membersOf(body, ['toBytes']);
  if (toBytes === undefined) return {};
  if (typeof toBytes === 'number' && Number.isSafeInteger(toBytes) && toBytes >= 0)
    return { to: toBytes };
  throw wrong(`"toBytes" is ${shown(toBytes)}; give a whole number of bytes`);
}

/** `{deadlineMs: number, by: text}` */
export function parseDrain(body: unknown): PeerOrder {
  const { deadlineMs, by } = membersOf(body, ['deadlineMs', 'by']);
  if (typeof deadlineMs !== 'number' || !(deadlineMs >= 0) || deadlineMs > DEADLINE_MS_MAX)
    throw wrong(`"deadlineMs" is ${shown(deadlineMs)}; give milliseconds, at most a week`);
  return { kind: 'drain', deadlineMs, by: parseBy(by) };
}

/** `{by: text}` */
export function parseUndrain(body: unknown): PeerOrder {
  return { kind: 'undrain', by: parseBy(membersOf(body, ['by']).by) };
}

function parseBy(by: unknown): string {
  if (typeof by === 'string' && by !== '' && by.length <= SHOWN_CHARACTERS_MAX) return by;
  throw wrong(`"by" is ${shown(by)}; say who wants it`);
}

/** A member that is not known is refused: what it was meant to do would be left undone. */
function membersOf(body: unknown, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (body === undefined) return {};
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw wrong('the body is no JSON object');
  const unknown = Object.keys(body).find((name) => !names.includes(name));
  if (unknown !== undefined) throw wrong(`there is no ${shown(unknown)} here`);
  return body as Readonly<Record<string, unknown>>;
}

const SHOWN_CHARACTERS_MAX = 100;
const shown = (value: unknown): string =>
  (JSON.stringify(value) ?? '').slice(0, SHOWN_CHARACTERS_MAX);

function wrong(message: string, advice = 'Use the podmesh of the same version as the daemon.') {
  return new ApiRefusal(400, message, advice);
}
