import { PortError } from '@podmesh/core';

/** Nobody answers at the socket: Podman's service is not running, or just restarting. */
export class PodmanUnreachableError extends PortError {
  constructor(socketPath: string, cause?: unknown) {
    super(
      `Podman does not answer at ${socketPath}. If this lasts, start its service ` +
        `(podman system service --time=0 unix://${socketPath}) and see: podmesh doctor`,
      { retryable: true, cause },
    );
  }
}

/** Podman took longer than the call's deadline. */
export class PodmanTimeoutError extends PortError {
  constructor(call: string, deadlineMs: number, cause?: unknown) {
    super(
      `Podman did not finish "${call}" within ${deadlineMs / 1_000} s. ` +
        'The disk may be slow or its service stuck; see: podmesh doctor',
      { retryable: true, cause },
    );
  }
}

/** The caller's own signal ended the wait. */
export class PodmanAbortedError extends PortError {
  constructor(call: string, cause?: unknown) {
    super(`the wait for "${call}" was given up by its caller`, { retryable: true, cause });
  }
}

/** Podman answered, and said no. `status` is the HTTP status, `reason` Podman's own words. */
export class PodmanRefusedError extends PortError {
  readonly status: number;
  readonly reason: string;
  constructor(call: string, status: number, reason: string, cause?: unknown) {
    super(`Podman refused "${call}" (HTTP ${status}): ${reason}`, {
      retryable: status >= 500,
      cause,
    });
    this.status = status;
    this.reason = reason;
  }
}

/** Podman cannot be had on this machine. The message says what to do. */
export class PodmanMissingError extends PortError {
  constructor(message: string, cause?: unknown) {
    super(message, { retryable: false, cause });
  }
}

/** Whether Podman refused with this HTTP status. */
export function isStatus(error: unknown, status: number): error is PodmanRefusedError {
  return error instanceof PodmanRefusedError && error.status === status;
}
