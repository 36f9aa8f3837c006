import { describe, expect, it } from 'vitest';
import { AttemptFiles } from './attempt-files.ts';
import { chainOrder } from './chain.ts';
import { CrunUnavailableError } from './crun-errors.ts';
import { MOUNT_OPTIONS_BYTES_MAX } from './crun-limits.ts';

const files = new AttemptFiles('/h/attempts/p/c');
const layers = { home: '/s t', lower: '/h/bases/x:l/A' };

describe('chainOrder', () => {
  it('holds the streams, and waits on a descriptor of its own', () => {
    const order = chainOrder({ files, layers, outputFds: [], hasCgroup: false }).split('\t');
    expect(order).toEqual([
      '/h/attempts/p/c',
      '3<>"$d/release" 0<>"$d/notice" 1<>"$d/stdout" 2<>"$d/stderr"',
      '3',
      'stdout',
      'stderr',
      'disabled',
      '/s t',
      'lowerdir=/h/bases/x:l/A,upperdir=/h/attempts/p/c/scratch/upper,workdir=/h/attempts/p/c/scratch/work,userxattr,index=off,uuid=off',
    ]);
  });

  it('leaves no descriptor free below the highest output', () => {
    const order = chainOrder({ files, layers, outputFds: [1, 5], hasCgroup: true }).split('\t');
    expect(order[1]).toContain('3</dev/null 4</dev/null 5>>"$d/scratch/fd/5"');
    expect(order.slice(2, 6)).toEqual(['6', 'scratch/fd/1', 'stderr', 'cgroupfs']);
  });

  it('refuses more options than the kernel takes, which would cut them off without a word', () => {
    const ordered = (lower: string) =>
      chainOrder({ files, layers: { home: '/s', lower }, outputFds: [], hasCgroup: false });
    const others = ordered('').split('\t').at(-1)?.length ?? 0;
    const longest = 'l'.repeat(MOUNT_OPTIONS_BYTES_MAX - others);
    expect(ordered(longest)).toContain(`lowerdir=${longest},`);
    expect(() => ordered(`${longest}l`)).toThrow(CrunUnavailableError);
    expect(() => ordered('l/A:l/B:'.repeat(500))).toThrow(/too many layers \(1001\).*podman/);
  });

  it.each(['\n', '\t'])('refuses a path that would end a field: %j', (letter) => {
    const odd = { home: `/s${letter}`, lower: 'l/A' };
    const options = { files, layers: odd, outputFds: [], hasCgroup: false };
    expect(() => chainOrder(options)).toThrow(CrunUnavailableError);
  });
});
