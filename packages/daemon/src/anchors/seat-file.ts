import { access, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { replacePrivately } from '@podmesh/authority';
import {
  type Anchor,
  type AnchorRecord,
  type PeerId,
  parseAnchor,
  parseAnchorRecord,
  peerId,
} from '@podmesh/core';

/**
 * What this home's disk says of the servers here. Only one process writes it, the daemon of the home; each change is on
 * the disk before anything is done because of it.
 */
export type Seat =
  /** No server of the mesh is here. */
  | { readonly kind: 'none' }
  /** The server of this generation serves; `attempt`: servers elsewhere that may have been started for another one. */
  | { readonly kind: 'open'; readonly record: AnchorRecord; readonly attempt?: AnchorRecord }
  /** The server of this generation takes nobody any more while all it has is copied for the next. */
  | { readonly kind: 'closed'; readonly record: AnchorRecord; readonly next: AnchorRecord }
  /** The next generation is the truth; what this home had of the one before is never served again. */
  | { readonly kind: 'moved'; readonly record: AnchorRecord; readonly from: number }
  /**
   * The cluster is over: all that it had is in the store of its server `store` of this home, which serves it alone from
   * now on, as the record says.
   */
  | { readonly kind: 'gathered'; readonly record: AnchorRecord; readonly store: string }
  /** Most of its cluster is gone for good: what the server here has is made to be served alone, wholly or not at all. */
  | {
      readonly kind: 'rescuing';
      readonly record: AnchorRecord;
      readonly next: AnchorRecord;
      readonly attempt?: AnchorRecord;
    }
  /** A server of the next generation runs here, of which nobody knows yet whether it will ever be the truth. */
  | {
      readonly kind: 'joining';
      readonly record: AnchorRecord;
      readonly self: Anchor;
      readonly mover: PeerId;
    };

/** The seat of a home, in a file that is never half written. */
export class SeatFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Whether anything was ever written. */
  isThere(): Promise<boolean> {
    return access(this.#path).then(
      () => true,
      () => false,
    );
  }

  /** Throws for a file that makes no sense: to guess which server is the truth could make two of them. */
  async read(): Promise<Seat> {
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return { kind: 'none' };
    const seat = parseSeat(text);
    if (seat === undefined)
      throw new Error(
        `${this.#path} is damaged, and it says which server of this home is the truth: put it back from a copy. ` +
          'Where the mesh has other anchors, they go on without this machine meanwhile',
      );
    return seat;
  }

  /** Resolves when it is on the disk, the folder's entry of it, too. */
  async write(seat: Seat): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    await replacePrivately(this.#path, `${JSON.stringify(seat)}\n`);
  }
}

function parseSeat(text: string): Seat | undefined {
  let said: Readonly<Record<string, unknown>>;
  try {
    said = Object(JSON.parse(text));
  } catch {
    return undefined;
  }
  if (said.kind === 'none') return { kind: 'none' };
  const record = parseAnchorRecord(said.record);
  if (record === undefined) return undefined;
  switch (said.kind) {
    case 'open': {
      if (said.attempt === undefined) return { kind: 'open', record };
      const attempt = parseAnchorRecord(said.attempt);
      return attempt && { kind: 'open', record, attempt };
    }
    case 'closed': {
      const next = parseAnchorRecord(said.next);
      return next && { kind: 'closed', record, next };
    }
    case 'rescuing': {
      const next = parseAnchorRecord(said.next);
      const attempt = parseAnchorRecord(said.attempt);
      return (
        next && { kind: 'rescuing', record, next, ...(attempt === undefined ? {} : { attempt }) }
      );
    }
    case 'moved':
      return { kind: 'moved', record, from: Number(said.from) };
    case 'gathered':
      return typeof said.store === 'string'
        ? { kind: 'gathered', record, store: said.store }
        : undefined;
    case 'joining': {
      const self = parseAnchor(said.self);
      return self && { kind: 'joining', record, self, mover: peerId(String(said.mover)) };
    }
    default:
      return undefined;
  }
}
