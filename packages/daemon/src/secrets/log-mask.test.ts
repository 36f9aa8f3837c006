import { expect, it } from 'vitest';
import { LogMask } from './log-mask.ts';

const SECRET = 'hunter2-hunter3-hunter4';

function run(values: readonly string[], pieces: readonly string[]): string {
  let out = '';
  const mask = new LogMask(values.map((value) => Buffer.from(value)));
  const { sink, flush } = mask.wrap((stream, bytes) => {
    if (stream === 'stdout') out += Buffer.from(bytes).toString('latin1');
  });
  for (const piece of pieces) sink('stdout', Buffer.from(piece));
  flush();
  return out;
}

it('takes a value out wherever the pieces are cut', () => {
  const text = `a${SECRET}b${SECRET}${SECRET}c hunter2-hunter d`;
  const wanted = 'a***b******c hunter2-hunter d';
  for (let cut = 0; cut <= text.length; cut += 1) {
    expect(run([SECRET], [text.slice(0, cut), text.slice(cut)])).toBe(wanted);
  }
  expect(run([SECRET], [...text])).toBe(wanted);
});

it('knows the longer of two values that begin alike, and values within values', () => {
  expect(run([SECRET, `${SECRET}-and-more`], [`<${SECRET}-and-more>`])).toBe('<***>');
  expect(run([SECRET, `${SECRET}-and-more`], [...`<${SECRET}-and-less>`])).toBe('<***-and-less>');
});

it('knows a value whose beginning is a value or a line, wherever the pieces are cut', () => {
  const lines = 'first-line-of-it\nshort\nlast-line-of-it\n';
  const texts = [`<${SECRET}-and-more>`, `<${lines}>`];
  for (const text of texts) {
    const values = [SECRET, `${SECRET}-and-more`, lines];
    expect(run(values, [...text])).toBe('<***>');
    for (let cut = 0; cut <= text.length; cut += 1)
      expect(run(values, [text.slice(0, cut), text.slice(cut)])).toBe('<***>');
  }
  expect(run([SECRET, `${SECRET}-and-more`], [...`${SECRET}-and`])).toBe('***-and');
});

it('masks without the line end of a file, and each long line of several', () => {
  expect(run([`${SECRET}\n`], [`<${SECRET}>`])).toBe('<***>');
  expect(run(['first-line-of-it\nsecond-line-of-it\n'], ['x second-line-of-it y'])).toBe('x *** y');
});

it('leaves short values, and what never was a value', () => {
  expect(run(['short'], ['a short word'])).toBe('a short word');
  expect(run([], ['anything'])).toBe('anything');
  expect(run([SECRET], ['hunter2-hunter3'])).toBe('hunter2-hunter3');
});

it('keeps standard output and standard error apart', () => {
  const seen: string[] = [];
  const mask = new LogMask([Buffer.from(SECRET)]);
  const { sink, flush } = mask.wrap((stream, bytes) => {
    seen.push(`${stream}:${Buffer.from(bytes)}`);
  });
  sink('stdout', Buffer.from('hunter2-'));
  sink('stderr', Buffer.from('hunter3-hunter4'));
  flush();
  expect(seen).toEqual(['stderr:hunter3-hunter4', 'stdout:hunter2-']);
});

it('masks a text, such as the message of a failure', () => {
  const mask = new LogMask([Buffer.from(SECRET)]);
  expect(mask.text(`no ${SECRET} of ä`)).toBe('no *** of ä');
});
