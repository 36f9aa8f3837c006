import { FAILURE_KINDS, peerId } from '@podmesh/core';
import { freshLane, freshRun, sampleOffer } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { amidFullDisk, type DiskAtEnd, FULL_DISK_BYTES, judgeFullDisk } from './full-disk.ts';
import { CANCELLED } from './stop-order.ts';

const GIB = 2 ** 30;
const exited = { kind: 'exit', message: 'the command exited with 1' } as const;
const full: DiskAtEnd = {
  peer: peerId('oak'),
  at: '/home',
  freeBytes: 0,
  writtenBytes: GIB,
  askedBytes: 0,
};

describe('a command that failed', () => {
  it('on a full disk did so by the fault of the machine', () => {
    expect(judgeFullDisk(exited, full)).toEqual({
      kind: 'disk-host',
      message:
        'the disk of oak was full when it ended (the command exited with 1); make room at /home',
    });
    const almost = { ...full, freeBytes: FULL_DISK_BYTES - 1 };
    expect(judgeFullDisk(exited, almost).kind).toBe('disk-host');
  });

  it('with room left did so by its own', () => {
    expect(judgeFullDisk(exited, { ...full, freeBytes: FULL_DISK_BYTES })).toBe(exited);
  });

  it.each([
    ['less than it asked for', 2 * GIB, 'disk-host'],
    ['as much as it asked for', GIB, 'disk-host'],
    ['more than it asked for', GIB - 1, 'disk-task'],
  ] as const)('on a full disk, having written %s', (_, askedBytes, kind) => {
    expect(judgeFullDisk(exited, { ...full, askedBytes }).kind).toBe(kind);
  });

  it.each(FAILURE_KINDS.filter((kind) => kind !== 'exit'))('of known reason stays %s', (kind) => {
    const failure = { kind, message: 'm' };
    expect(judgeFullDisk(failure, full)).toBe(failure);
  });
});

describe('a look at the disk', () => {
  function newCase(askedBytes = 0) {
    const sampled = sampleOffer(freshRun(), freshLane());
    const looks: string[] = [];
    const task = {
      offer: { ...sampled, requirements: { ...sampled.requirements, diskBytes: askedBytes } },
      container: {
        sample: async () => {
          looks.push('container');
          return { scratchBytes: GIB };
        },
      },
      stopped: undefined,
      peer: peerId('oak'),
      host: {
        disk: '/home',
        freeDiskBytes: async () => {
          looks.push('disk');
          return 0;
        },
      },
    };
    return { task, looks };
  }

  it('is not taken after a success, nor of what was told to end or failed otherwise', async () => {
    const { task, looks } = newCase();
    const oom = { kind: 'oom-task', message: 'm' } as const;
    expect(await amidFullDisk(undefined, task)).toBeUndefined();
    expect(await amidFullDisk(exited, { ...task, stopped: CANCELLED })).toBe(exited);
    expect(await amidFullDisk(exited, { ...task, host: undefined })).toBe(exited);
    expect(await amidFullDisk(oom, task)).toBe(oom);
    expect(looks).toEqual([]);
  });

  it('measures what the task wrote only when it named an amount', async () => {
    const { task, looks } = newCase();
    expect((await amidFullDisk(exited, task))?.kind).toBe('disk-host');
    expect(looks).toEqual(['disk']);
    const named = newCase(GIB / 2);
    expect((await amidFullDisk(exited, named.task))?.kind).toBe('disk-task');
    expect(named.looks).toEqual(['disk', 'container']);
  });

  it('that fails changes nothing', async () => {
    const { task } = newCase(GIB / 2);
    const away = () => Promise.reject(new Error('gone'));
    const blind = { ...task, host: { ...task.host, freeDiskBytes: away } };
    expect(await amidFullDisk(exited, blind)).toBe(exited);
    const closed = { ...task, container: { sample: away } };
    expect((await amidFullDisk(exited, closed))?.kind).toBe('disk-host');
  });
});
