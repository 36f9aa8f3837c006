import { randomBytes } from 'node:crypto';
import type { SpanOptions } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { Observer } from './observer.ts';
import { RunTraces, type Teller } from './run-traces.ts';
import { traceId } from './trace-ids.ts';

/** Spans that wait to be sent: a burst of a large run; the standard's 2,048 are a quarter of a second of one. */
const SPANS_WAITING_MAX = 65_536;
const SEND_EVERY_MS = 1_000;
/** A collector that does not answer may not keep the daemon from ending. */
const LAST_WORDS_MS = 3_000;
/** Trouble with a collector is the same for every batch. */
const TROUBLE_TOLD_EVERY_MS = 60_000;

export interface TracesParts {
  readonly peer: string;
  readonly version: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
}

/** Whether somebody wants traces: one of the two variables that OpenTelemetry has for it. */
export const wantsTraces = (env: NodeJS.ProcessEnv): boolean =>
  env.OTEL_SDK_DISABLED !== 'true' &&
  Boolean(env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);

/**
 * Tells OpenTelemetry of runs, over OTLP/HTTP. Its packages are loaded here and nowhere else: a daemon without an
 * endpoint pays nothing for them. The exporter reads its headers, time-outs and compression from the environment.
 */
export async function openTraces(
  parts: TracesParts,
): Promise<Observer & { stop(): Promise<void> }> {
  const [api, { OTLPTraceExporter }, { BatchSpanProcessor, TracerProvider }, resources] =
    await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/resources'),
    ]);
  api.diag.setLogger(troubleOnly(parts.logger), { logLevel: api.DiagLogLevel.ERROR });
  const ids = new GivenIds();
  const own = resources.resourceFromAttributes({
    'service.name': parts.env.OTEL_SERVICE_NAME || 'podmesh-peer',
    'service.instance.id': parts.peer,
    'service.version': parts.version,
  });
  const named = resources.detectResources({ detectors: [resources.envDetector] });
  const provider = new TracerProvider({
    resource: resources.defaultResource().merge(own).merge(named),
    idGenerator: ids,
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter(),
        maxQueueSize: SPANS_WAITING_MAX,
        scheduledDelayMillis: SEND_EVERY_MS,
      }),
    ],
  });
  const tracer = provider.getTracer('podmesh', parts.version);
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } = api;

  const tell: Teller = ({
    name,
    run,
    id,
    parent,
    span,
    kind = 'internal',
    attributes,
    failure,
  }) => {
    const above = parent !== undefined && {
      traceId: traceId(run),
      spanId: parent,
      traceFlags: TraceFlags.SAMPLED,
      isRemote: true,
    };
    const context = above === false ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, above);
    const options: SpanOptions = {
      startTime: hrTime(span.fromMs),
      kind: { internal: SpanKind.INTERNAL, sends: SpanKind.PRODUCER, takes: SpanKind.CONSUMER }[
        kind
      ],
      attributes: { 'podmesh.run': run, ...attributes },
      root: above === false,
    };
    ids.next(traceId(run), id);
    const made = tracer.startSpan(name, options, context);
    if (failure !== undefined) made.setStatus({ code: SpanStatusCode.ERROR, message: failure });
    made.end(hrTime(span.toMs));
  };

  const stop = async (): Promise<void> => {
    const late = new Promise<void>((resolve) => setTimeout(resolve, LAST_WORDS_MS).unref());
    // What was not sent is lost; the run log has all of it.
    await Promise.race([provider.shutdown().catch(() => undefined), late]);
  };
  return Object.assign(new RunTraces(tell), { stop });
}

/** Seconds and nanoseconds: a bare number might be taken for one since the process began. */
const hrTime = (ms: number): [number, number] => [
  Math.floor(ms / 1_000),
  Math.round((ms % 1_000) * 1e6),
];

/** Gives out the ids that it was told, once; others at random. */
class GivenIds {
  #traceId: string | undefined;
  #spanId: string | undefined;

  next(traceId: string, spanId: string | undefined): void {
    this.#traceId = traceId;
    this.#spanId = spanId;
  }

  generateTraceId(): string {
    return this.#traceId ?? randomBytes(16).toString('hex');
  }

  generateSpanId(): string {
    const given = this.#spanId ?? randomBytes(8).toString('hex');
    this.#spanId = undefined;
    return given;
  }
}

/** What OpenTelemetry says of its own troubles goes into our log, and not with every batch. */
function troubleOnly(logger: Logger) {
  let toldMs = Number.NEGATIVE_INFINITY;
  const tell = (message: string): void => {
    const nowMs = performance.now();
    if (nowMs - toldMs < TROUBLE_TOLD_EVERY_MS) return;
    toldMs = nowMs;
    logger.warn({ said: message.slice(0, 500) }, 'traces do not get to their collector');
  };
  const nothing = (): void => undefined;
  return { error: tell, warn: nothing, info: nothing, debug: nothing, verbose: nothing };
}
