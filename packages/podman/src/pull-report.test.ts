import { describe, expect, it } from 'vitest';
import { PullReport } from './pull-report.ts';

const MIB = 2 ** 20;

function heard(...lines: readonly object[]): PullReport {
  const report = new PullReport();
  for (const line of lines) report.hear(JSON.stringify(line));
  return report;
}

const download = (id: string, current: number, total: number) => ({
  status: 'Downloading',
  id,
  progressDetail: { current, total },
});

describe('what Podman tells of a pull', () => {
  it('sums the layers', () => {
    const report = heard(
      { status: 'Pulling fs layer', id: 'a', progressDetail: {} },
      download('a', 4 * MIB, 30 * MIB),
      download('b', MIB, 19 * MIB),
      download('a', 30 * MIB, 30 * MIB),
    );
    expect(report.amount).toBe('31 of 49 MiB');
    report.hear(JSON.stringify({ status: 'Download complete', id: 'b', progressDetail: {} }));
    expect(report.amount).toBe('49 of 49 MiB');
  });

  it('expects bytes until every known layer is there', () => {
    const report = heard({ stream: 'Trying to pull …' });
    expect(report.mayBeSilent).toBe(false);
    report.hear(JSON.stringify(download('a', 1, 2)));
    expect(report.mayBeSilent).toBe(false);
    report.hear(JSON.stringify({ status: 'Already exists', id: 'a' }));
    expect(report.mayBeSilent).toBe(true);
  });

  it('is patient with a Podman that does not count', () => {
    const report = heard({ stream: 'Copying blob sha256:…\n' });
    expect(report.mayBeSilent).toBe(true);
    expect(report.amount).toBe('');
  });

  it('keeps the first error, and passes over what is no JSON', () => {
    const report = heard({ error: 'manifest unknown' }, { error: 'later' });
    for (const line of ['', 'no JSON', '7', 'null']) report.hear(line);
    expect(report.problem).toBe('manifest unknown');
  });
});
