import { type LiveLog, reportLine, type TaskReport } from '@podmesh/core';
import { readJsonBody } from './read-json-body.ts';
import type { TaskApiAnswer, TaskApiCall, TaskApiRoute } from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';
import {
  MESSAGE_CHARACTERS_MAX,
  METRIC_NAME_CHARACTERS_MAX,
  METRICS_MAX,
  REPORT_MS_MIN,
} from './task-api-limits.ts';
import type { TaskAtWork } from './task-at-work.ts';

interface Reported {
  report: TaskReport;
  /** Set while the next word to the mesh is due. */
  timer: NodeJS.Timeout | undefined;
}

/** Progress and metrics, told on the channel of the live log: nobody waits for them, and what is lost is lost. */
export class ReportRoutes {
  readonly routes: readonly TaskApiRoute[];
  readonly #liveLog: LiveLog;
  readonly #reported = new WeakMap<TaskAtWork, Reported>();

  constructor(liveLog: LiveLog) {
    this.#liveLog = liveLog;
    this.routes = [
      { method: 'POST', path: '/v1/progress', answer: (call) => this.#take(call, parseProgress) },
      { method: 'POST', path: '/v1/metrics', answer: (call) => this.#take(call, parseMetrics) },
    ];
  }

  async #take(
    { task, request }: TaskApiCall,
    parse: (body: Body, before: TaskReport) => TaskReport,
  ): Promise<TaskApiAnswer> {
    const body = masked((await readJsonBody(request)) ?? {}, task);
    const reported = this.#reported.get(task) ?? { report: {}, timer: undefined };
    this.#reported.set(task, reported);
    reported.report = { ...reported.report, ...parse(body, reported.report) };
    if (reported.timer === undefined) this.#tell(task, reported);
    return { kind: 'done' };
  }

  /** The first word at once; then the last one of each while. */
  #tell(task: TaskAtWork, reported: Reported): void {
    const told = reported.report;
    const { run, task: id, attempt } = task.offer;
    const bytes = Buffer.from(reportLine(told));
    this.#liveLog.write({ run, task: id, attempt, bytes });
    reported.timer = setTimeout(() => {
      reported.timer = undefined;
      if (reported.report !== told && !task.over.signal.aborted) this.#tell(task, reported);
    }, REPORT_MS_MIN).unref();
  }
}

/** What is told travels like the log, and secrets are kept out of it like of that; before it is cut. */
function masked(body: Body, { maskText }: TaskAtWork): Body {
  const told = Object.entries(body).map(([name, value]) => [
    maskText(name),
    typeof value === 'string' ? maskText(value) : value,
  ]);
  return Object.fromEntries(told);
}

type Body = Readonly<Record<string, unknown>>;

function parseProgress(body: Body): TaskReport {
  const { fraction, message, ...others } = body;
  refuseOthers(others);
  if (fraction === undefined && message === undefined)
    throw wrong('give fraction, message or both');
  if (fraction !== undefined && !(typeof fraction === 'number' && fraction >= 0 && fraction <= 1))
    throw wrong('"fraction" is no number from 0 to 1');
  if (message !== undefined && typeof message !== 'string') throw wrong('"message" is no text');
  return {
    ...(fraction === undefined ? {} : { fraction }),
    ...(message === undefined ? {} : { message: cut(message) }),
  };
}

function parseMetrics(body: Body, { metrics = {} }: TaskReport): TaskReport {
  const all: Record<string, number> = { ...metrics };
  for (const [name, value] of Object.entries(body)) {
    if (name === '' || name.length > METRIC_NAME_CHARACTERS_MAX)
      throw wrong(`the name of a metric has 1 to ${METRIC_NAME_CHARACTERS_MAX} characters`);
    if (typeof value !== 'number') throw wrong(`${JSON.stringify(name)} is no number`);
    Object.defineProperty(all, name, { value, enumerable: true, configurable: true });
  }
  if (Object.keys(all).length > METRICS_MAX)
    throw wrong(`a task has at most ${METRICS_MAX} metrics`);
  return { metrics: all };
}

function refuseOthers(others: object): void {
  const [name] = Object.keys(others);
  if (name !== undefined) throw wrong(`there is no ${JSON.stringify(name.slice(0, 100))} here`);
}

const cut = (message: string): string => [...message].slice(0, MESSAGE_CHARACTERS_MAX).join('');

const wrong = (message: string): TaskApiError => new TaskApiError('bad-request', message);
