/** What a task says of itself while it runs: best effort, the last word counts, and no fact of the run. */
export interface TaskReport {
  /** How much of it is done, from 0 to 1. */
  readonly fraction?: number;
  /** What it is at, in a few words. */
  readonly message?: string;
  /** Last values by name. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/**
 * A report as a chunk of the live log, the first word of which no other chunk has. Only there: the stored log is what
 * the task itself wrote, so that equal tasks have equal logs.
 */
export function reportLine(report: TaskReport): string {
  return `${PREFIX}${JSON.stringify(report)}\n`;
}

/** The report in a chunk of the live log; undefined of a task's own output. */
export function readReportLine(chunk: string): TaskReport | undefined {
  if (!chunk.startsWith(PREFIX)) return undefined;
  try {
    return toReport(JSON.parse(chunk.slice(PREFIX.length)));
  } catch {
    return undefined;
  }
}

const PREFIX = 'podmesh: report ';

/** A task may print such a line itself: what is in it is believed no more than its other words. */
function toReport(value: unknown): TaskReport | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { fraction, message, metrics } = value as Readonly<Record<string, unknown>>;
  return {
    ...(isFraction(fraction) ? { fraction } : {}),
    ...(typeof message === 'string' ? { message } : {}),
    ...(isMetrics(metrics) ? { metrics } : {}),
  };
}

const isFraction = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= 1;

function isMetrics(value: unknown): value is Readonly<Record<string, number>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((one) => typeof one === 'number' && Number.isFinite(one))
  );
}
