import { ARTIFACT_BYTES_MAX, type ArtifactId, isDigest } from '@podmesh/core';
import { parseChunkRange } from './content-range.ts';
import type { Exchange } from './exchange.ts';
import { knownError, RegistryError } from './registry-error.ts';
import type { RegistryParts } from './registry-parts.ts';
import { parseDigest } from './route.ts';
import type { UploadSession, UploadSessions } from './upload-sessions.ts';

type Parts = Pick<RegistryParts, 'blobs'>;

/** Pushing blobs: monolithically, in chunks, or by mounting what is there. */
export class UploadEndpoint {
  readonly #blobs: Parts['blobs'];
  readonly #sessions: UploadSessions;

  constructor({ blobs }: Parts, sessions: UploadSessions) {
    this.#blobs = blobs;
    this.#sessions = sessions;
  }

  /** `POST /v2/<name>/blobs/uploads/` */
  async begin(repository: string, exchange: Exchange): Promise<void> {
    const { query } = exchange;
    const algorithm = query.get('digest-algorithm');
    if (algorithm !== null && algorithm !== 'sha256') parseDigest(`${algorithm}:0`);
    const digest = query.get('digest');
    const wanted = digest === null ? undefined : parseDigest(digest);
    const mount = query.get('mount');
    if (mount !== null && isDigest(mount)) {
      const found = parseDigest(mount);
      if ((await this.#blobs.find(found, exchange.signal)) !== undefined)
        return created(exchange, repository, found);
    }
    const session = await this.#sessions.begin(repository);
    // Without a body it is the first step of two, whatever else it says.
    if (wanted === undefined) return accepted(exchange, session);
    await this.#sessions.use(session, () => this.#finish(session, wanted, exchange));
  }

  /** `PATCH`: the next chunk, or all of it in one stream. */
  async append({ repository, session: id }: Place, exchange: Exchange): Promise<void> {
    const session = this.#sessions.find(repository, id);
    await this.#sessions.use(session, async () => {
      await this.#write(session, exchange);
      accepted(exchange, session);
    });
  }

  /** `PUT`: what is left, and its name. */
  async close({ repository, session: id }: Place, exchange: Exchange): Promise<void> {
    const session = this.#sessions.find(repository, id);
    const wanted = parseDigest(exchange.query.get('digest') ?? '');
    await this.#sessions.use(session, () => this.#finish(session, wanted, exchange));
  }

  /** `GET`: how far it is. */
  status({ repository, session: id }: Place, exchange: Exchange): void {
    const session = this.#sessions.find(repository, id);
    exchange.answer(204, sessionHeaders(session));
  }

  /** `DELETE` */
  async cancel({ repository, session: id }: Place, exchange: Exchange): Promise<void> {
    const session = this.#sessions.find(repository, id);
    await this.#sessions.use(session, () => this.#sessions.end(session));
    exchange.answer(204);
  }

  async #finish(session: UploadSession, wanted: ArtifactId, exchange: Exchange): Promise<void> {
    await this.#write(session, exchange);
    try {
      const digest = session.upload.digest();
      if (digest !== wanted) {
        const message = `the upload is ${digest}, not ${wanted}; nothing was stored`;
        throw new RegistryError(400, 'DIGEST_INVALID', message, { detail: { digest } });
      }
      await session.upload.commit();
    } finally {
      await this.#sessions.end(session);
    }
    created(exchange, session.repository, wanted);
  }

  /** A client that breaks off may go on where it was; what cannot be made good ends the upload. */
  async #write(session: UploadSession, exchange: Exchange): Promise<void> {
    const expected = expectedBytes(session, exchange);
    let bytes = 0;
    try {
      for await (const piece of exchange.body()) {
        bytes += piece.length;
        if (bytes > (expected ?? Number.POSITIVE_INFINITY)) throw wrongLength(expected ?? 0);
        if (session.bytes + piece.length > ARTIFACT_BYTES_MAX) throw tooLarge();
        await session.upload.write(piece);
        session.bytes += piece.length;
      }
      if (expected !== undefined && bytes !== expected) throw wrongLength(expected);
    } catch (error) {
      if (knownError(error) !== undefined) await this.#sessions.end(session);
      throw error;
    }
  }
}

interface Place {
  readonly repository: string;
  readonly session: string;
}

/** How many bytes the chunk has by its `Content-Range`; undefined without one. Throws where it does not follow the last. */
function expectedBytes(session: UploadSession, exchange: Exchange): number | undefined {
  const header = exchange.header('content-range');
  if (header === undefined) return undefined;
  const range = parseChunkRange(header);
  if (range === undefined) {
    const message = `Content-Range ${JSON.stringify(header.slice(0, 100))} is not <first>-<last>`;
    throw new RegistryError(416, 'BLOB_UPLOAD_INVALID', message, outOfOrder(session));
  }
  if (range.start !== session.bytes) {
    const message = `the next chunk begins at ${session.bytes}, not at ${range.start}`;
    throw new RegistryError(416, 'BLOB_UPLOAD_INVALID', message, outOfOrder(session));
  }
  const bytes = range.end - range.start;
  const length = exchange.header('content-length');
  if (length !== undefined && Number(length) !== bytes)
    throw new RegistryError(
      400,
      'SIZE_INVALID',
      `Content-Range says ${bytes} bytes, Content-Length ${length.slice(0, 20)}`,
    );
  return bytes;
}

const outOfOrder = (session: UploadSession) => ({ headers: sessionHeaders(session) });

function wrongLength(bytes: number): RegistryError {
  const message = `the chunk does not have the ${bytes} bytes of its Content-Range; the upload was given up`;
  return new RegistryError(400, 'SIZE_INVALID', message);
}

function tooLarge(): RegistryError {
  return new RegistryError(
    413,
    'SIZE_INVALID',
    `a blob may have ${ARTIFACT_BYTES_MAX} bytes at most`,
  );
}

function accepted(exchange: Exchange, session: UploadSession): void {
  exchange.answer(202, sessionHeaders(session));
}

function sessionHeaders({ id, repository, bytes }: UploadSession): Record<string, string> {
  return {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    'Docker-Upload-UUID': id,
    // The specification has no word for nothing at all; this is every registry's.
    Range: `0-${Math.max(0, bytes - 1)}`,
  };
}

function created(exchange: Exchange, repository: string, digest: ArtifactId): void {
  exchange.answer(201, {
    Location: `/v2/${repository}/blobs/${digest}`,
    'Docker-Content-Digest': digest,
  });
}
