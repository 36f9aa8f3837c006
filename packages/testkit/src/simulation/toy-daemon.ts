import {
  actionDigest,
  type Claimed,
  claimId,
  type LaneId,
  type Offer,
  PortError,
  peerId,
  type RunId,
  sessionId,
} from '@podmesh/core';
import type { MeshPorts } from '../mesh/fake-mesh.ts';
import { SMALL, sampleFailed, sampleOffer, samplePublished, sampleSucceeded } from '../samples.ts';
import type { SimProcess } from './sim-process.ts';

/**
 * The smallest worker that keeps DESIGN §3: record first, acknowledge last. The testkit's own tests
 * run it, since the testkit must not know the real daemon.
 */
export async function runToyWorker(
  process: SimProcess,
  ports: MeshPorts,
  lane: LaneId,
): Promise<void> {
  const forever = new AbortController().signal;
  for (;;) {
    try {
      for await (const claimed of ports.offers.pull(lane, 4, 5_000, forever)) {
        void attempt(process, ports, claimed).catch(ignorePortError);
      }
    } catch (error) {
      ignorePortError(error);
      await process.clock.sleep(500);
    }
  }
}

/** Publishes a run whose offers are all independent, then offers again what vanished, until all is done. */
export async function runToyDriver(
  process: SimProcess,
  ports: MeshPorts,
  work: { readonly run: RunId; readonly lane: LaneId; readonly tasks: number },
): Promise<void> {
  const { run, lane, tasks } = work;
  for (;;) {
    try {
      await ports.log.append(samplePublished(run, tasks), 0);
      await ports.lanes.open(lane, SMALL);
      const waiting = await ports.offers.waiting(run);
      const all = Array.from({ length: tasks }, (_, index) => sampleOffer(run, lane, index));
      const missing: Offer[] = [];
      for (const offer of all) {
        const last = await ports.log.lastOfTask(run, offer.task);
        const done = last?.event.kind === 'attempt-succeeded';
        if (!done && !waiting.has(offer.task)) missing.push(offer);
      }
      if (missing.length > 0) await ports.offers.publish(missing);
    } catch (error) {
      ignorePortError(error);
    }
    await process.clock.sleep(5_000);
  }
}

async function attempt(
  process: SimProcess,
  ports: MeshPorts,
  claimed: Claimed<Offer>,
): Promise<void> {
  const { run, task } = claimed.value;
  const lease = ports.leases.keep(claimed.ticket, () => undefined);
  try {
    const last = await ports.log.lastOfTask(run, task);
    let sequence = last?.sequence ?? 0;
    let number = 1;
    if (last?.event.kind === 'attempt-succeeded') return await claimed.ack();
    if (last !== undefined && 'attempt' in last.event) number = last.event.attempt + 1;
    if (last?.event.kind === 'attempt-started') {
      const { kind: _, session, offerSequence, ...open } = last.event;
      const reason = 'its claim passed on';
      const lost = await ports.log.append({ ...open, kind: 'attempt-lost', reason }, sequence);
      if (!lost.ok) return;
      sequence = lost.value;
    }
    const started = {
      ...({ kind: 'attempt-started', run, task, attempt: number } as const),
      peer: peerId(process.name.replace('#', '-')),
      session: sessionId(process.name.replace('#', '-')),
      claim: claimId(process.newId()),
      offerSequence: claimed.sequence,
    };
    const owned = await ports.log.append(started, sequence);
    if (!owned.ok) return;
    await process.clock.sleep(process.random.between(10, 3_000));
    const outcome = process.random.chance(0.2)
      ? sampleFailed(started)
      : sampleSucceeded(started, SOME_ACTION);
    await ports.log.append(outcome, owned.value);
    if (outcome.kind === 'attempt-succeeded') await claimed.ack();
    else await claimed.giveBack(100);
  } finally {
    lease.release();
  }
}

const SOME_ACTION = actionDigest(`sha256:${'0'.repeat(64)}`);

function ignorePortError(error: unknown): void {
  if (!(error instanceof PortError)) throw error;
}
