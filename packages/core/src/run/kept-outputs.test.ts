import { describe, expect, it } from 'vitest';
import { peerId } from '../words/ids.ts';
import { keptOutputs } from './kept-outputs.ts';
import { digestOf, RunFixture } from './run-fixture.test-kit.ts';
import { recordTask } from './run-record.ts';
import { shareFailure } from './share-parts.ts';

const record = { kind: 'file', path: '/r', onFailure: true } as const;
const outputs = {
  record,
  other: { kind: 'file', path: '/o' },
  log: { kind: 'fd', fd: 1 },
} as const;

describe('keptOutputs', () => {
  it('names those that are marked, where the task is to blame', () => {
    for (const kind of ['exit', 'timeout', 'oom-task', 'output-missing'] as const) {
      expect(keptOutputs({ outputs }, kind)).toEqual([['record', record]]);
    }
  });

  it('names none where the machine is in trouble or the claim lost', () => {
    for (const kind of ['lease-lost', 'cancelled', 'drained', 'disk-host'] as const) {
      expect(keptOutputs({ outputs }, kind)).toEqual([]);
    }
  });
});

describe('a failure that left outputs', () => {
  const kept = { record: { digest: digestOf('record'), kind: 'file', bytes: 7 } } as const;
  const machine = {
    hostname: 'h',
    kernel: 'k',
    arch: 'amd64',
    os: 'o',
    cpuModel: 'c',
    cores: 1,
    memoryBytes: 1,
    podmanVersion: '1',
  };

  it('has them in the record of the task', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    run.failWith('a', { kind: 'exit', message: 'm', outputs: kept });
    expect(recordTask(run.state, 0)).toMatchObject({
      state: 'failed',
      outputs: { record: digestOf('record') },
    });
  });

  it('shares its machine with the others of that peer', () => {
    const { state } = new RunFixture([{ id: 'a' }]);
    const failure = { kind: 'exit', message: 'm' } as const;
    const first = shareFailure(state, { ...failure, machine }, peerId('p'));
    const second = shareFailure(state, { ...failure, machine: { ...machine } }, peerId('p'));
    expect(second.machine).toBe(first.machine);
    expect(shareFailure(state, failure, peerId('p'))).toBe(failure);
  });
});
