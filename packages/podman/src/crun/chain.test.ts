import { describe, expect, it } from 'vitest';
import { AttemptFiles } from './attempt-files.ts';
import { chainOrder } from './chain.ts';

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
      'lowerdir=/h/bases/x:l/A,upperdir=/h/attempts/p/c/upper,workdir=/h/attempts/p/c/work,userxattr',
    ]);
  });

  it('leaves no descriptor free below the highest output', () => {
    const order = chainOrder({ files, layers, outputFds: [1, 5], hasCgroup: true }).split('\t');
    expect(order[1]).toContain('3</dev/null 4</dev/null 5>>"$d/fd/5"');
    expect(order.slice(2, 6)).toEqual(['6', 'fd/1', 'stderr', 'cgroupfs']);
  });
});
