import { describe, expect, it } from 'vitest';
import { type CommandLine, parseCommandLine } from './parse-command-line.ts';

function parse(words: string): CommandLine {
  const parsed = parseCommandLine(words.split(' ').filter(Boolean));
  if (!parsed.ok) throw parsed.error;
  return parsed.value;
}

function refusal(words: string): { message: string; advice: string | undefined; exitCode: number } {
  const parsed = parseCommandLine(words.split(' ').filter(Boolean));
  if (parsed.ok) throw new Error('was accepted');
  const { message, advice, exitCode } = parsed.error;
  return { message, advice, exitCode };
}

describe('parseCommandLine', () => {
  it('reads a command with operands and options in any order', () => {
    const line = parse('get --force last/j1/out -o - --nats nats://x');
    if (line.kind !== 'command') throw new Error(line.kind);
    const { command, operands, options } = line.invocation;
    expect([command, operands]).toEqual(['get', ['last/j1/out']]);
    expect(options.flag('force')).toBe(true);
    expect(options.text('output')).toBe('-');
    expect(options.text('nats')).toBe('nats://x');
    expect(options.flag('json')).toBe(false);
  });

  it('takes global options in front of the command', () => {
    const line = parse('--json --nats nats://ps:1 show last');
    if (line.kind !== 'command') throw new Error(line.kind);
    expect(line.invocation.command).toBe('show');
    expect(line.invocation.options.flag('json')).toBe(true);
    expect(line.invocation.options.text('nats')).toBe('nats://ps:1');
  });

  it('collects an option that may be repeated', () => {
    const line = parse('up --label a=1 --label b=2');
    if (line.kind !== 'command') throw new Error(line.kind);
    expect(line.invocation.options.texts('label')).toEqual(['a=1', 'b=2']);
  });

  it('takes - for standard input and words behind -- as they are', () => {
    expect(parse('run -')).toMatchObject({ invocation: { operands: ['-'] } });
    expect(parse('put -- --odd')).toMatchObject({ invocation: { operands: ['--odd'] } });
  });

  it('takes the last operand of some commands several times, or never', () => {
    expect(parse('release last a b:3')).toMatchObject({
      invocation: { operands: ['last', 'a', 'b:3'] },
    });
    expect(parse('release last')).toMatchObject({ invocation: { operands: ['last'] } });
    expect(refusal('release').advice).toBe('Usage: podmesh release RUN [TASK]... [OPTION]...');
  });

  it.each([
    ['', { kind: 'help', command: undefined }],
    ['--help', { kind: 'help', command: undefined }],
    ['help', { kind: 'help', command: undefined }],
    ['help run', { kind: 'help', command: 'run' }],
    ['run --help', { kind: 'help', command: 'run' }],
    ['logs -h', { kind: 'help', command: 'logs' }],
    ['--version', { kind: 'version' }],
  ])('reads %j', (words, expected) => {
    expect(parse(words)).toEqual(expected);
  });

  it.each([
    ['rnu x', 'there is no command "rnu"', 'Did you mean "podmesh run"?'],
    ['stop', 'there is no command "stop"', 'All commands: podmesh help'],
    ['help foo', 'there is no command "foo"', 'podmesh help'],
    ['run', '"podmesh run" needs FILE', 'Usage: podmesh run FILE'],
    ['ps x', 'one word too many: "x"', 'Usage: podmesh ps'],
    ['run x --detahc', 'has no option --detahc', 'Did you mean --detach?'],
    ['--frob', 'unknown option --frob', 'podmesh help'],
    ['get x -o', 'argument missing', 'podmesh get --help'],
    ['run x --detach=yes', 'does not take an argument', 'podmesh run --help'],
  ])('refuses %j with exit code 2', (words, message, advice) => {
    const refused = refusal(words);
    expect(refused.message).toContain(message);
    expect(refused.advice).toContain(advice);
    expect(refused.exitCode).toBe(2);
  });
});
