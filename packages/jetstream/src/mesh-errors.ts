import { PortError } from '@podmesh/core';

/** No server answered at the address within the time given. The address is shown without its credentials. */
export class MeshUnreachableError extends PortError {
  constructor(url: string, cause?: unknown) {
    super(
      `no mesh answers at ${url}: is the daemon running, and is the address right?${because(cause)}`,
      { retryable: true, cause },
    );
  }
}

/** A server answered and refused our credentials: trying again changes nothing. */
export class MeshRefusedError extends PortError {
  constructor(url: string, cause?: unknown) {
    super(`the mesh at ${url} refused the credentials: check the token in the address`, {
      retryable: false,
      cause,
    });
  }
}

/** The role of these credentials does not include it: trying again changes nothing. */
export class MeshForbiddenError extends PortError {
  constructor(what: string, cause?: unknown) {
    super(
      `${what}: the role of this member does not allow it${because(cause)}; ` +
        'use a member of the right role, or ask whoever made the mesh',
      { retryable: false, cause },
    );
  }
}

/** The server is older than what the run log needs (atomic batches, strict API). */
export class ServerTooOldError extends PortError {
  constructor(where: string, found: string, wanted: string) {
    super(
      `nats-server ${found} at ${where} is too old: podmesh needs ${wanted} or newer; ` +
        'install a newer nats-server (or use the image nats:2.12-alpine or newer) and start again',
      { retryable: false },
    );
  }
}

/** Servers answer, and too few of them to agree on anything: most of the anchors are away. */
export class MeshStandsStillError extends PortError {
  constructor(url: string, cause?: unknown) {
    super(
      `the mesh at ${url} stands still: too few of its anchors answer. Everything waits, nothing is lost, and it goes ` +
        'on when they are back; "podmesh doctor" says how many are missing',
      { retryable: true, cause },
    );
  }
}

/** The server runs without JetStream, so nothing could be stored. */
export class JetStreamDisabledError extends PortError {
  constructor(url: string, cause?: unknown) {
    super(
      `the nats-server at ${url} runs without JetStream: add a "jetstream { store_dir: ... }" ` +
        'block to its configuration, or start it with -js -sd DIRECTORY',
      { retryable: false, cause },
    );
  }
}

/** A stream exists with settings that break a guarantee; nothing was changed. */
export class StreamMismatchError extends PortError {
  constructor(stream: string, problems: readonly string[]) {
    super(`stream ${stream} of this mesh has unusable settings: ${problems.join('; ')}`, {
      retryable: false,
    });
  }
}

/** The mesh's state was written by programs that are too far ahead of ours; nothing was changed. */
export class MeshTooNewError extends PortError {
  constructor(found: string, ours: string) {
    super(
      `this mesh is of podmesh ${found}, and this is ${ours}, which could damage it: install podmesh ${found} here ` +
        '(versions that are one minor version apart work together)',
      { retryable: false },
    );
  }
}

/** Peers are at work in the mesh whose version is too far from ours; nothing was changed. */
export class UnlikePeersError extends PortError {
  constructor(others: readonly string[], ours: string) {
    super(
      `this is podmesh ${ours}, and peers of the mesh are too far from it: ${others.join(', ')}; upgrade one minor ` +
        'version at a time, all peers before the next one ("podmesh peers" lists them)',
      { retryable: false },
    );
  }
}

/** The mesh did not answer in time, or the connection to it is down. Every operation may be repeated. */
export class MeshSilentError extends PortError {
  constructor(what: string, cause?: unknown) {
    super(`${what}: the mesh does not answer${because(cause)}`, { retryable: true, cause });
  }
}

/**
 * The queue no longer knows this delivery: its server was killed before it had noted it. The message
 * is delivered again, and whoever gets it settles it; nothing is lost but the effort.
 */
export class ClaimForgottenError extends PortError {
  constructor() {
    super('the queue has forgotten this claim; its message will be delivered again', {
      retryable: false,
    });
  }
}

/** A message larger than the server takes: a caller forgot to make an artifact of it. */
export class MessageTooLargeError extends PortError {
  constructor(subject: string, bytes: number, bytesMax: number) {
    super(
      `a message of ${bytes} bytes for ${subject} is larger than the ${bytesMax} bytes this mesh takes: ` +
        'store the value as an artifact and refer to it',
      { retryable: false },
    );
  }
}

/** Something in a stream is not what podmesh writes there. */
export class UnreadableMessageError extends PortError {
  constructor(where: string, cause?: unknown) {
    super(`a message at ${where} is not one of podmesh${because(cause)}`, {
      retryable: false,
      cause,
    });
  }
}

/** The server answered with an error of its own that we have no better word for. */
export class MeshAnswerError extends PortError {
  /** NATS error code, see its errors.json; 0 when there was none. */
  readonly code: number;
  constructor(what: string, answer: { code: number; description: string }, cause?: unknown) {
    super(`${what}: ${answer.description} (${answer.code})`, { retryable: false, cause });
    this.code = answer.code;
  }
}

/** Stored bytes that do not have the digest they are named by. */
export class ArtifactCorruptError extends PortError {
  constructor(artifact: string, detail: string) {
    super(`the bytes of artifact ${artifact} are damaged: ${detail}`, { retryable: false });
  }
}

/** The nats-server program is missing, too old, or does not start. */
export class EmbeddedServerError extends PortError {
  constructor(message: string, cause?: unknown) {
    super(message, { retryable: false, cause });
  }
}

function because(cause: unknown): string {
  return cause instanceof Error && cause.message !== '' ? ` (${cause.message})` : '';
}
