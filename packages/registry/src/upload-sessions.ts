import { randomUUID } from 'node:crypto';
import { RegistryError } from './registry-error.ts';
import { UPLOAD_IDLE_MS, UPLOADS_MAX } from './registry-limits.ts';
import type { BlobUpload, RegistryParts } from './registry-parts.ts';

/** One upload that was begun. */
export interface UploadSession {
  readonly id: string;
  readonly repository: string;
  readonly upload: BlobUpload;
  /** Written so far. */
  bytes: number;
  touchedMs: number;
  isBusy: boolean;
}

type Parts = Pick<RegistryParts, 'blobs' | 'nowMs'>;

/** Uploads that are not finished, each in the hands of one request at a time. They end with the daemon. */
export class UploadSessions {
  readonly #parts: Parts;
  readonly #sessions = new Map<string, UploadSession>();
  #opening = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async begin(repository: string): Promise<UploadSession> {
    await this.sweep();
    this.#opening += 1;
    try {
      if (this.#sessions.size + this.#opening > UPLOADS_MAX) await this.#endOldest();
      const upload = await this.#parts.blobs.beginUpload();
      const touchedMs = this.#parts.nowMs();
      const id = randomUUID();
      const session = { id, repository, upload, bytes: 0, touchedMs, isBusy: false };
      this.#sessions.set(id, session);
      return session;
    } finally {
      this.#opening -= 1;
    }
  }

  find(repository: string, id: string): UploadSession {
    const session = this.#sessions.get(id);
    if (session?.repository === repository) return session;
    const message =
      'there is no such upload: it was finished, cancelled, left alone for too long, or the daemon restarted';
    throw new RegistryError(404, 'BLOB_UPLOAD_UNKNOWN', message);
  }

  /** Does the work while nobody else can write to the session. */
  async use<Value>(session: UploadSession, work: () => Promise<Value>): Promise<Value> {
    if (session.isBusy) {
      const message = 'another request writes to this upload at this moment';
      throw new RegistryError(409, 'BLOB_UPLOAD_INVALID', message);
    }
    session.isBusy = true;
    try {
      return await work();
    } finally {
      session.isBusy = false;
      session.touchedMs = this.#parts.nowMs();
    }
  }

  /** Forgets the session and what was written. Harmless twice. */
  async end(session: UploadSession): Promise<void> {
    this.#sessions.delete(session.id);
    await session.upload.discard();
  }

  /** Gives up what was left alone for too long. */
  async sweep(): Promise<void> {
    const before = this.#parts.nowMs() - UPLOAD_IDLE_MS;
    const idle = [...this.#sessions.values()].filter(
      ({ isBusy, touchedMs }) => !isBusy && touchedMs < before,
    );
    await Promise.all(idle.map((session) => this.end(session)));
  }

  /**
   * A client that gives up rarely says so: what nobody writes to, and was left alone the longest, makes room. Whose it
   * was begins again; being refused until a quarter of an hour has passed would meet everybody.
   */
  async #endOldest(): Promise<void> {
    const [oldest] = [...this.#sessions.values()]
      .filter(({ isBusy }) => !isBusy)
      .sort((one, other) => one.touchedMs - other.touchedMs);
    if (oldest !== undefined) return await this.end(oldest);
    const message = `${UPLOADS_MAX} uploads are being written: finish or cancel one`;
    throw new RegistryError(429, 'TOOMANYREQUESTS', message, { headers: { 'Retry-After': '5' } });
  }

  async endAll(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => this.end(session)));
  }
}
