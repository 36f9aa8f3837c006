import { FAILURE_KINDS, type FailureKind } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { failureAdvice } from './failure-advice.ts';

const about = (kind: FailureKind): string => failureAdvice({ kind, target: 'r/t' }).join(' ');

describe('the advice about a failure', () => {
  it.each(FAILURE_KINDS)('says what to do about %s', (kind) => {
    expect(about(kind)).toMatch(/podmesh|[Pp]ublish/);
  });

  it('looks for a program that is not there where the command failed, not where none was started', () => {
    expect(about('exit')).toContain('first word of "command"');
    expect(about('start-failed')).not.toContain('first word');
    expect(about('start-failed')).toContain('podmesh doctor');
  });

  it('does not send a person to publish again what fails for another reason', () => {
    expect(about('dependency-failed')).toContain('podmesh explain r/t');
    expect(about('dependency-failed')).not.toContain('ublish again');
  });

  it('knows that an artifact which was named by its digest is nowhere to be made again', () => {
    expect(about('input-missing')).toContain('podmesh put');
  });

  it('says what memory was used and asked for', () => {
    const memory = { maxRssBytes: 2 ** 30, memoryBytes: 2 ** 29 };
    expect(failureAdvice({ kind: 'oom-task', target: 'r/t', ...memory }).join(' ')).toContain(
      'it used 1 GiB at its peak and it had asked for 512 MiB',
    );
  });
});
