import type { RunId } from '@podmesh/core';

/** The mesh has neither the log of that run nor its record. */
export class NoSuchRunError extends Error {
  readonly run: RunId;

  constructor(run: RunId) {
    super(`there is no run ${JSON.stringify(run)} in this mesh`);
    this.name = 'NoSuchRunError';
    this.run = run;
  }
}
