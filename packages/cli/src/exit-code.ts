/** What the exit codes of `podmesh` mean; documented in the README and in every `--help`. */
export const EXIT = {
  success: 0,
  /** The run failed or was cancelled, or what was asked for could not be done. */
  failed: 1,
  /** The document or the arguments are wrong. */
  wrong: 2,
  /** No mesh could be reached. */
  noMesh: 3,
  /** The run goes on only after a person has released a held task, or never: a person cancels it. */
  held: 4,
  /** Ctrl-C while following a run: the run goes on, and nobody knows yet how it ends. */
  detached: 130,
} as const;

/** Any number, because `podmesh up` passes on that of the daemon. */
export type ExitCode = number;
