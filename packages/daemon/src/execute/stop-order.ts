import type { ArtifactId, Failure, FailureKind, Offer } from '@podmesh/core';

/** Why an attempt is ended by us before it ends by itself; the reason of the signal that ends it. */
export interface StopOrder {
  readonly kind: Extract<
    FailureKind,
    | 'timeout'
    | 'lease-lost'
    | 'cancelled'
    | 'drained'
    | 'oom-task'
    | 'oom-host'
    | 'disk-task'
    | 'disk-host'
    | 'exit'
    | 'input-missing'
  >;
  /** What a person reads: what happened and what to do. */
  readonly message: string;
  /** No time is left for the task to tidy up, whatever the kind. */
  readonly isUrgent?: true;
  /** Inputs that this machine had not. */
  readonly missing?: readonly ArtifactId[];
}

export const LEASE_LOST: StopOrder = {
  kind: 'lease-lost',
  message: 'the peer could not extend its claim, so it stopped the container',
};
export const CANCELLED: StopOrder = { kind: 'cancelled', message: 'the run was cancelled' };
export const DRAINED: StopOrder = { kind: 'drained', message: 'the peer was stopped by its owner' };

/** The owner wants the machine back; `why` follows "its machine ". */
export const handedBack = (why: string): StopOrder => ({
  kind: 'drained',
  message: `given back by no fault of its own: its machine ${why}`,
});

/** The machine is about to sleep: others take over at once. */
export const FOR_THE_NIGHT: StopOrder = { ...handedBack('goes to sleep'), isUrgent: true };

/** Whether the attempt ended for its machine's sleep: given back before, or somebody else's by the time it woke. */
export const isForTheNight = ({ kind, message }: Pick<Failure, 'kind' | 'message'>): boolean =>
  kind === 'lease-lost' || (kind === FOR_THE_NIGHT.kind && message === FOR_THE_NIGHT.message);

/** What was made of it may be wrong, too. */
export const wrongInput = (inputs: readonly ArtifactId[]): StopOrder => ({
  kind: 'input-missing',
  message: `its input ${inputs.join(' and ')} was found to have wrong bytes on this machine's disk while it was at work; nothing that it made of them is kept`,
  isUrgent: true,
  missing: inputs,
});

export function timedOut({ timeoutMs }: Offer): StopOrder {
  const message = `ran longer than its ${timeoutMs / 1_000} s; give it more with timeout`;
  return { kind: 'timeout', message };
}

/** Whether the task may tidy up first; what exceeds a limit, or may be somebody else's already, may not. */
export function leavesGrace({ kind, isUrgent }: StopOrder): boolean {
  if (isUrgent === true) return false;
  return kind === 'timeout' || kind === 'cancelled' || kind === 'drained';
}

/** As the failure of the attempt that it ended. */
export function failureOfOrder({ kind, message, missing }: StopOrder) {
  return { kind, message, ...(missing === undefined ? {} : { missing }) };
}

/** The order that a signal was aborted with. */
export const orderOf = (signal: AbortSignal): StopOrder => signal.reason as StopOrder;
