import type { Offer, RunEnded, RunId } from '@podmesh/core';
import type { AttemptInHand } from '../execute/attempt-step.ts';
import type { AttemptEnd, Observer, Span, Stage } from './observer.ts';
import { attemptSpanId, offerSpanId, runSpanId } from './trace-ids.ts';

/** One span that is over. */
export interface ToldSpan {
  readonly name: string;
  readonly run: RunId;
  /** Absent: any. */
  readonly id?: string;
  /** Absent: it is the run's own. */
  readonly parent?: string;
  readonly span: Span;
  /** Default: `internal`. */
  readonly kind?: 'internal' | 'sends' | 'takes';
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  /** Why it failed; absent: it did not. */
  readonly failure?: string;
}

export type Teller = (told: ToldSpan) => void;

/**
 * Makes spans of what is observed: of the run, below it `publish` and, for each attempt that is offered, `offer`; below
 * that `attempt` with its stages. Who drives tells of runs and offers, who executes of attempts.
 */
export class RunTraces implements Observer {
  readonly #tell: Teller;

  constructor(tell: Teller) {
    this.#tell = tell;
  }

  published(run: RunId, span: Span): void {
    this.#tell({ name: 'publish', run, parent: runSpanId(run), span });
  }

  offered(offers: readonly Offer[], span: Span): void {
    for (const offer of offers) {
      const { run, task, attempt, lane } = offer;
      const id = offerSpanId(run, task, attempt);
      const attributes = { ...attributesOf(offer), 'podmesh.lane': lane };
      this.#tell({
        name: 'offer',
        run,
        id,
        parent: runSpanId(run),
        span,
        kind: 'sends',
        attributes,
      });
    }
  }

  stage({ claim, offer }: AttemptInHand, stage: Stage, span: Span, isFailed: boolean): void {
    const { run } = offer;
    this.#tell({
      name: stage,
      run,
      parent: attemptSpanId(run, claim),
      span,
      attributes: attributesOf(offer),
      ...(isFailed ? { failure: `failed in ${stage}` } : {}),
    });
  }

  attemptEnded({ attempt: { claim, offer }, ending, isPublished }: AttemptEnd, span: Span): void {
    const { run, task, attempt } = offer;
    const outcome = ending.kind === 'failed' ? ending.failure.kind : 'success';
    const failure = ending.kind === 'failed' ? ending.failure.message : undefined;
    this.#tell({
      name: 'attempt',
      run,
      id: attemptSpanId(run, claim),
      parent: offerSpanId(run, task, attempt),
      span,
      kind: 'takes',
      attributes: {
        ...attributesOf(offer),
        'podmesh.outcome': outcome,
        'podmesh.published': isPublished,
      },
      ...(failure === undefined ? {} : { failure }),
    });
  }

  runEnded({ run, state, counts }: RunEnded, span: Span): void {
    this.#tell({
      name: 'podmesh.run',
      run,
      id: runSpanId(run),
      span,
      attributes: {
        'podmesh.state': state,
        'podmesh.tasks.succeeded': counts.succeeded,
        'podmesh.tasks.cached': counts.cached,
        'podmesh.tasks.failed': counts.failed,
      },
      ...(state === 'failed' ? { failure: `${counts.failed} tasks failed` } : {}),
    });
  }
}

const attributesOf = ({ task, attempt }: Offer) => ({
  'podmesh.task': task,
  'podmesh.attempt': attempt,
});
