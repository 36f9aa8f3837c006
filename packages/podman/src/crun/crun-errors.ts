import { PortError } from '@podmesh/core';

/** The fast lane cannot be used on this machine. The message says why and what to do. */
export class CrunUnavailableError extends PortError {
  constructor(message: string, cause?: unknown) {
    super(message, { retryable: false, cause });
  }
}

/** A step of the fast lane failed on a machine where it works as a rule. */
export class CrunFailedError extends PortError {
  constructor(what: string, reason: string, cause?: unknown) {
    super(`the fast lane could not ${what}: ${reason}`, { retryable: true, cause });
  }
}
