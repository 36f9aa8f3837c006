import { JetStreamApiError } from '@nats-io/jetstream';
import {
  type ArtifactRef,
  OBJECT_ALWAYS_BYTES_MAX,
  OBJECT_STORE_SHARE_MAX,
  OBJECT_STORE_SPARE_SHARE_MAX,
  ObjectStoreFullError,
} from '@podmesh/core';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { ARTIFACT_STREAM } from './subjects.ts';

/** The server is asked again how full it is after so many bytes. */
const LOOK_AGAIN_BYTES = 16 * 1024 * 1024;
/** Each artifact counts as this much at least, so that many small ones count too. */
const ENTRY_BYTES = 64 * 1024;
/** nats-server errors.json: the stream, or the server's disk, takes no more. */
const FULL_CODES: ReadonlySet<number> = new Set([10047, 10077]);

interface Bound {
  readonly usedBytes: number;
  readonly maxBytes?: number;
}

/** Keeps the last tenth of the object store free of what is large, and half of that of what may be elsewhere. */
export class ObjectRoom {
  readonly #mesh: MeshConnection;
  #unseenBytes = Number.POSITIVE_INFINITY;
  #seen: Bound | undefined;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  /** Throws `ObjectStoreFullError` when what is to come does not fit. */
  async expect({ digest, bytes }: ArtifactRef, worth?: 'spare'): Promise<void> {
    const isLarge = bytes > OBJECT_ALWAYS_BYTES_MAX;
    if (isLarge || worth === 'spare') {
      const share = isLarge ? OBJECT_STORE_SHARE_MAX : OBJECT_STORE_SPARE_SHARE_MAX;
      if (this.#unseenBytes > LOOK_AGAIN_BYTES || !this.#fits(bytes, share)) await this.#look();
      if (!this.#fits(bytes, share)) throw await this.full({ digest, bytes });
    }
    this.#unseenBytes += Math.max(bytes, ENTRY_BYTES);
  }

  /** Also where nobody looked yet, and where there is no bound. */
  #fits(bytes: number, share: number): boolean {
    if (this.#seen?.maxBytes === undefined) return true;
    const { usedBytes, maxBytes } = this.#seen;
    return usedBytes + this.#unseenBytes + bytes <= maxBytes * share;
  }

  /** What to tell of an artifact that the server has no room for. */
  async full(
    { digest, bytes }: Pick<ArtifactRef, 'digest' | 'bytes'>,
    cause?: unknown,
  ): Promise<ObjectStoreFullError> {
    const bound = await this.#bound().catch(() => undefined);
    return new ObjectStoreFullError(digest, { bytes, ...bound }, cause);
  }

  async #look(): Promise<void> {
    this.#seen = await this.#bound();
    this.#unseenBytes = 0;
  }

  async #bound(): Promise<Bound> {
    const { config, state } = await asking('look how full the object store is', () =>
      this.#mesh.jsm.streams.info(ARTIFACT_STREAM),
    );
    return config.max_bytes > 0
      ? { usedBytes: state.bytes, maxBytes: config.max_bytes }
      : { usedBytes: state.bytes };
  }
}

export const isFull = (error: unknown): boolean =>
  error instanceof JetStreamApiError && FULL_CODES.has(error.code);
