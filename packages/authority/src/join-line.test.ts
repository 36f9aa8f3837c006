import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type JoinLine, joinerKey, joinLineText, parseJoinLine } from './join-line.ts';

const line = (servers: readonly string[] = ['10.0.0.5:4222']): JoinLine => ({
  servers,
  fingerprint: randomBytes(16),
  joinerSecret: randomBytes(8),
  invitationSecret: randomBytes(12),
});

describe('a join line', () => {
  it('is short, has nothing for a shell, and says again what went in', () => {
    const servers = ['10.0.0.5:4222', '[fd00::1]:4222', 'desk.example.org:65535'];
    const whole = line(servers);
    const text = joinLineText(whole);
    expect(parseJoinLine(text)).toEqual(whole);
    expect(joinLineText(line()).length).toBeLessThan(80);
    expect(text).toMatch(/^[A-Za-z0-9.,:@_[\]-]+$/);
  });

  it('is the same with the spaces and line ends that a mail put into it', () => {
    const whole = line();
    const text = joinLineText(whole);
    expect(parseJoinLine(`  ${text.slice(0, 30)}\n ${text.slice(30)}\r\n`)).toEqual(whole);
  });

  it('is told from other words, and from one with a slip of the hand', () => {
    expect(parseJoinLine('nats://token@10.0.0.5:4222')).toMatchObject({ kind: 'no-line' });
    expect(parseJoinLine('')).toMatchObject({ kind: 'no-line' });
    const text = joinLineText(line());
    expect(parseJoinLine(text.slice(0, -1))).toMatchObject({ kind: 'mangled' });
    expect(parseJoinLine(text.replace('10.0.0.5', '10.0.0.6'))).toMatchObject({ kind: 'mangled' });
    expect(parseJoinLine(`${text},evil.example.org:4222`)).toMatchObject({ kind: 'mangled' });
  });

  it('is never read after one letter of it was changed', () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(...'aZ09_-@:.,'), (place, letter) => {
        const text = joinLineText(line());
        const at = 9 + (place % (text.length - 9));
        fc.pre(text[at] !== letter);
        const changed = `${text.slice(0, at)}${letter}${text.slice(at + 1)}`;
        expect(parseJoinLine(changed)).toHaveProperty('kind', 'mangled');
      }),
    );
  });

  it('never makes the reader fail, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), (rest) => {
        expect(parseJoinLine(`podmesh1.${rest}`)).toHaveProperty('kind', 'mangled');
      }),
    );
  });

  it('gives the same key to all who have it, and no other secret does', () => {
    const secret = randomBytes(8);
    expect(joinerKey(secret).publicText).toBe(joinerKey(secret).publicText);
    expect(joinerKey(secret).publicText).not.toBe(joinerKey(randomBytes(8)).publicText);
  });
});
