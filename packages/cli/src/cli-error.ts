import { type GraphProblem, PortError } from '@podmesh/core';
import { NoSuchRunError } from '@podmesh/sdk';
import { EXIT, type ExitCode } from './exit-code.ts';

/** Why a command could not do its work; part of the JSON shape of errors, so names stay. */
export type CliErrorKind =
  | 'arguments'
  | 'document'
  | 'root'
  | 'no-mesh'
  | 'no-such-run'
  | 'no-such-task'
  | 'no-such-output'
  | 'no-such-artifact'
  | 'not-available'
  | 'exists'
  | 'file'
  | 'daemon'
  | 'mesh'
  | 'internal';

/** A refusal that ends the command: what happened, what to do about it, and the exit code. */
export class CliError extends Error {
  readonly kind: CliErrorKind;
  readonly exitCode: ExitCode;
  readonly advice: string | undefined;
  readonly problems: readonly GraphProblem[];

  constructor(kind: CliErrorKind, message: string, options: CliErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'CliError';
    this.kind = kind;
    this.exitCode = options.exitCode ?? EXIT_OF_KIND[kind];
    this.advice = options.advice;
    this.problems = options.problems ?? [];
  }
}

export interface CliErrorOptions {
  readonly advice?: string;
  readonly problems?: readonly GraphProblem[];
  readonly exitCode?: ExitCode;
  readonly cause?: unknown;
}

const EXIT_OF_KIND: Readonly<Record<CliErrorKind, ExitCode>> = {
  arguments: EXIT.wrong,
  document: EXIT.wrong,
  root: EXIT.wrong,
  'no-mesh': EXIT.noMesh,
  'no-such-run': EXIT.wrong,
  'no-such-task': EXIT.wrong,
  'no-such-output': EXIT.wrong,
  'no-such-artifact': EXIT.wrong,
  'not-available': EXIT.failed,
  exists: EXIT.wrong,
  file: EXIT.failed,
  daemon: EXIT.failed,
  mesh: EXIT.failed,
  internal: EXIT.failed,
};

/** Whatever was thrown, as a refusal with an exit code. */
export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof PortError) return fromPort(error);
  if (error instanceof NoSuchRunError) {
    const advice = 'The runs it knows: podmesh ps --all';
    return new CliError('no-such-run', error.message, { advice, cause: error });
  }
  if (isFileError(error)) return new CliError('file', error.message, { cause: error });
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new CliError('internal', `podmesh itself failed: ${message}`, {
    advice: 'Please report this.',
    cause: error,
  });
}

function fromPort(error: PortError): CliError {
  // The stream or bucket is missing: a server on which no peer has ever been.
  if (/stream not found/.test(error.message)) {
    return new CliError(
      'no-mesh',
      'the nats-server answers, but no peer has made a mesh of it yet',
      {
        advice: 'Start a peer with it: podmesh up --nats URL',
        cause: error,
      },
    );
  }
  if (error.retryable) return new CliError('no-mesh', error.message, { cause: error });
  return new CliError('mesh', error.message, { cause: error });
}

function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && 'syscall' in error;
}
