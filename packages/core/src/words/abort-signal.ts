/**
 * Ports speak of `AbortSignal`, core has no platform types (STYLE rule 1): this declares just that the
 * type exists. At the edges it merges with the platform's own declaration.
 */
declare global {
  interface AbortSignal {
    readonly aborted: boolean;
  }
}

export {};
