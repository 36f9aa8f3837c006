/**
 * The log holds a fact of a later version. Whoever folded on without it would decide wrongly: this version neither
 * drives that run nor tells of it.
 */
export class UnknownFactError extends Error {
  /** In a log that only versions known to this one write to, there is no such fact. */
  constructor(event: never) {
    const { kind, run }: { kind?: unknown; run?: unknown } = Object(event);
    super(
      `the log of run ${String(run)} holds a fact of kind ${JSON.stringify(kind)}, which this version of podmesh does not know: update podmesh on this machine`,
    );
    this.name = 'UnknownFactError';
  }
}
