import { type ArtifactId, PortError, type TransferEnding, unreachable } from '@podmesh/core';

/** An artifact did not come from other peers. Another try may do better: what is here is kept. */
export class TransferError extends PortError {
  readonly artifact: ArtifactId;
  readonly why: Exclude<TransferEnding, 'stored'>;
  constructor(artifact: ArtifactId, why: TransferError['why']) {
    super(`artifact ${artifact}: ${reasonOf(why)}`, { retryable: true });
    this.artifact = artifact;
    this.why = why;
  }
}

function reasonOf(why: TransferError['why']): string {
  switch (why) {
    case 'no-source':
      return 'no peer that answers has it';
    case 'stalled':
      return 'its transfer made no progress for too long';
    case 'deadline':
      return 'its transfer took too long';
    case 'corrupt':
      return 'what other peers gave for it are other bytes';
    default:
      return unreachable(why);
  }
}
