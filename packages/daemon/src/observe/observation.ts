import type { DaemonParts } from '../daemon-parts.ts';
import type { OnStep } from '../execute/attempt-step.ts';
import type { PeerParts } from '../peer-parts.ts';
import type { StartedParts } from '../started-parts.ts';
import { AttemptStages } from './attempt-stages.ts';
import type { MetricSources } from './metric-sources.ts';
import { openMetrics } from './metrics.ts';
import { MetricsServer } from './metrics-server.ts';
import { ObservedPorts } from './observed-ports.ts';
import type { Observer } from './observer.ts';
import { openTraces, wantsTraces } from './traces.ts';
import { WallClock } from './wall-clock.ts';

/** Puts observers, if there are any, between a peer and what it does; the parts as they are where there are none. */
export async function observe(
  daemon: DaemonParts,
  started: StartedParts,
  parts: PeerParts,
  sources: MetricSources,
): Promise<PeerParts> {
  const observers = await openObservers(daemon, started, sources);
  if (observers.length === 0) return parts;
  const clock = new WallClock();
  const nowMs = () => clock.nowMs();
  const stages = new AttemptStages(observers, nowMs);
  const ports = new ObservedPorts(observers, nowMs);
  const onStep: OnStep = (step, attempt) => {
    stages.step(step, attempt);
    parts.onStep?.(step, attempt);
  };
  return {
    ...parts,
    log: ports.log(parts.log),
    offers: ports.offers(parts.offers),
    onStep,
    onEnding: (attempt, ending) => {
      stages.ended(attempt, ending);
      parts.onEnding?.(attempt, ending);
    },
  };
}

async function openObservers(
  { configuration, logger, peer, version }: DaemonParts,
  started: StartedParts,
  sources: MetricSources,
): Promise<readonly Observer[]> {
  const observers: Observer[] = [];
  if (wantsTraces(process.env)) {
    const traces = await openTraces({ peer, version, env: process.env, logger });
    started.add('traces', () => traces.stop());
    observers.push(traces);
  }
  // Last: as soon as it listens, what is asked for has to be there.
  const { metricsPort } = configuration;
  if (metricsPort !== undefined) {
    const metrics = await openMetrics(sources);
    const server = new MetricsServer(metrics.registry);
    started.add('metrics', () => server.stop());
    const port = await server.start(metricsPort);
    logger.info({ port }, 'tells metrics to programs of this machine');
    observers.push(metrics);
  }
  return observers;
}
