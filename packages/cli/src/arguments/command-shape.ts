/** One option of a command. */
export interface OptionShape {
  readonly kind: 'flag' | 'text' | 'texts';
  /** One letter. */
  readonly short?: string;
  /** What stands for the value in help, such as `PATH`. */
  readonly value?: string;
  readonly help: string;
}

/** What an operand names, so that shells can complete it. */
export type OperandKind =
  | 'file'
  | 'run'
  | 'command'
  | 'shell'
  | 'image-action'
  | 'cache-action'
  | 'anchor-action'
  | 'service-action'
  | 'digest'
  | 'peer'
  | 'word';

/** A word that is no option. */
export interface OperandShape {
  /** As in usage, such as `RUN[/TASK]`. */
  readonly name: string;
  readonly kind: OperandKind;
  readonly optional?: boolean;
  /** The last one may be given several times. */
  readonly repeated?: boolean;
}

/** What can be said to one command; parsing, help and completion all read this. */
export interface CommandShape {
  readonly name: string;
  /** One line, without a full stop. */
  readonly summary: string;
  readonly operands: readonly OperandShape[];
  readonly options: Readonly<Record<string, OptionShape>>;
  /** Paragraphs of `--help`. */
  readonly details: readonly string[];
  readonly examples: readonly string[];
}

/** Every command knows these. */
export const GLOBAL_OPTIONS: Readonly<Record<string, OptionShape>> = {
  json: { kind: 'flag', help: 'print JSON (errors too, on standard error)' },
  nats: {
    kind: 'text',
    value: 'URL',
    help: 'the mesh: nats://[token@]host:port (default: PODMESH_NATS, else the daemon of this machine)',
  },
  help: { kind: 'flag', short: 'h', help: 'say what the command does' },
};

/** `podmesh run FILE [OPTION]...` */
export function usageOf({ name, operands }: CommandShape): string {
  return ['podmesh', name, ...operands.map(operandText), '[OPTION]...'].join(' ');
}

/** `RUN`, `[TASK]...` */
export function operandText({ name, optional, repeated }: OperandShape): string {
  return `${optional ? `[${name}]` : name}${repeated ? '...' : ''}`;
}
