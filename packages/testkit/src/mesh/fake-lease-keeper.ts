import {
  type ClaimTicket,
  LEASE_EXTEND_MS,
  LEASE_GIVE_UP_MS,
  type Lease,
  type LeaseKeeper,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import type { Cancel } from '../time/scheduler.ts';

/** Extends the message behind a ticket; does not say whether it is still there (NATS does not either). */
export type ExtendClaim = (ticket: ClaimTicket) => void;

/** Runs on a helper thread of the process: a blocked main loop does not stop it, a freeze does. */
export class FakeLeaseKeeper implements LeaseKeeper {
  private readonly process: FakeProcess;
  private readonly extend: ExtendClaim;

  constructor(process: FakeProcess, extend: ExtendClaim) {
    this.process = process;
    this.extend = extend;
  }

  keep(ticket: ClaimTicket, onLost: () => void): Lease {
    return new KeptLease(this.process, { ticket, onLost, extend: this.extend });
  }
}

interface KeptClaim {
  readonly ticket: ClaimTicket;
  readonly onLost: () => void;
  readonly extend: ExtendClaim;
}

class KeptLease implements Lease {
  private readonly process: FakeProcess;
  private readonly claim: KeptClaim;
  private stopExtending: Cancel = () => undefined;
  private stopGivingUp: Cancel = () => undefined;
  private released = false;

  constructor(process: FakeProcess, claim: KeptClaim) {
    this.process = process;
    this.claim = claim;
    this.confirmed(process.clock.nowMs());
    this.extendLater();
  }

  release(): void {
    this.released = true;
    this.stopExtending();
    this.stopGivingUp();
  }

  private extendLater(): void {
    const action = () => {
      this.extendOnce();
      this.extendLater();
    };
    this.stopExtending = this.process.after(LEASE_EXTEND_MS, action, 'helper');
  }

  private extendOnce(): void {
    const { ticket, extend } = this.claim;
    const sentMs = this.process.clock.nowMs();
    this.process
      .callFromThread(`extend ${ticket}`, () => extend(ticket))
      .then(
        () => this.confirmed(sentMs),
        () => undefined,
      );
  }

  /** Counts from when the confirmed extension was sent: the server cannot have counted from earlier. */
  private confirmed(sentMs: number): void {
    if (this.released) return;
    this.stopGivingUp();
    const leftMs = sentMs + LEASE_GIVE_UP_MS - this.process.clock.nowMs();
    this.stopGivingUp = this.process.after(leftMs, () => this.giveUp(), 'helper');
  }

  private giveUp(): void {
    if (this.released) return;
    this.release();
    this.process.after(0, this.claim.onLost);
  }
}
