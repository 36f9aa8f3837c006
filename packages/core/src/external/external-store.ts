import { PortError } from '../ports.ts';
import type { StorePlace } from './store-place.ts';

/** The values of the secrets that a place names. */
export type SecretValues = ReadonlyMap<string, Uint8Array>;

/** What a store said, or that it said nothing: names the place, never a credential. */
export class ExternalStoreError extends PortError {
  /** `missing`: nothing is there. `refused`: it is, or may be, and not for us. `failed`: anything else. */
  readonly kind: 'missing' | 'refused' | 'failed';

  constructor(
    kind: ExternalStoreError['kind'],
    message: string,
    options: { retryable: boolean; cause?: unknown },
  ) {
    super(message, options);
    this.kind = kind;
  }
}

/** Stores that people already have. Both calls throw `ExternalStoreError`, or the signal's reason. */
export interface ExternalStore {
  /**
   * The bytes of one version of the object: a connection that breaks, or stands still, is made again where it
   * was, and throws when the object is another by then.
   */
  read(place: StorePlace, secrets: SecretValues, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Stores a file of this machine there, trying again where that makes sense: what it throws is final. Nothing half done
   * stays then; doing it twice is harmless.
   */
  write(
    place: StorePlace,
    file: { readonly path: string; readonly bytes: number },
    secrets: SecretValues,
    signal: AbortSignal,
  ): Promise<void>;
}
