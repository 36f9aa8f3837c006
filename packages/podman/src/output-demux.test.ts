import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutputDemux } from './output-demux.ts';

const frame = (kind: number, payload: string): Buffer => {
  const bytes = Buffer.from(payload, 'latin1');
  const header = Buffer.alloc(8);
  header[0] = kind;
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
};

const split = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])];
  let start = 0;
  return ends
    .sort((a, b) => a - b)
    .map((end) => {
      const piece = bytes.subarray(start, end);
      start = end;
      return piece;
    });
};

function collected(skip?: { stdout: number; stderr: number }) {
  const got = { stdout: '', stderr: '' };
  const demux = new OutputDemux((stream, bytes) => {
    got[stream] += Buffer.from(bytes).toString('latin1');
  }, skip);
  return { got, demux };
}

describe('OutputDemux', () => {
  it('gives both streams in full however the bytes are cut', () => {
    const frames = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.string({ maxLength: 20 })));
    fc.assert(
      fc.property(frames, fc.array(fc.nat()), (all, cuts) => {
        const { got, demux } = collected();
        const bytes = Buffer.concat(all.map(([kind, text]) => frame(kind, text)));
        for (const piece of split(bytes, cuts)) demux.push(piece);
        const expected = (kind: number) =>
          all
            .filter(([of]) => of === kind)
            .map(([, text]) => Buffer.from(text, 'latin1').toString('latin1'))
            .join('');
        expect(got).toEqual({ stdout: expected(1), stderr: expected(2) });
      }),
    );
  });

  it('skips what was seen before a connection broke, by stream', () => {
    const { got, demux } = collected({ stdout: 4, stderr: 0 });
    demux.push(Buffer.concat([frame(1, 'abc'), frame(2, 'err'), frame(1, 'defg')]));
    expect(got).toEqual({ stdout: 'efg', stderr: 'err' });
    expect(demux.position).toEqual({ stdout: 7, stderr: 3 });
  });

  it("keeps Podman's own complaint at the end apart, and only there", () => {
    const words =
      'Error: read unixpacket @->/proc/self/fd/12/attach: read: connection reset by peer\n';
    for (const cuts of [[], [3], [40], [130]]) {
      const { got, demux } = collected();
      const bytes = Buffer.concat([frame(2, words), frame(2, 'err'), frame(2, words)]);
      for (const piece of split(bytes, cuts)) demux.push(piece);
      expect(got.stderr).toBe(`${words}err`);
      expect(demux.isBroken).toBe(true);
      expect(demux.position.stderr).toBe(words.length + 3);
      demux.flush();
      expect(got.stderr).toBe(`${words}err${words}`);
      expect(demux.isBroken).toBe(false);
    }
  });

  it('takes nothing else for output', () => {
    const { got, demux } = collected();
    demux.push(Buffer.concat([frame(3, 'complaint'), frame(0, 'input'), frame(1, 'out')]));
    expect(got).toEqual({ stdout: 'out', stderr: '' });
  });
});
