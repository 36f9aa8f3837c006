/** Where a text stops being JSON; line and column count from 1. */
export interface JsonError {
  readonly line: number;
  readonly column: number;
  /** What stands there and what should. */
  readonly message: string;
}

/** What may come next. */
type Expected = 'value' | 'first-item' | 'first-key' | 'key' | 'colon' | 'more' | 'end' | 'string';

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** The first character that may stand in a string as it is. */
const SPACE_CODE = 0x20;

/**
 * Finds the first place at which a text is no JSON, for a text that `JSON.parse` refused: Node 20 does
 * not always tell. Walks the text once with a stack of its own, so depth and size do not matter.
 */
export function findJsonError(text: string): JsonError {
  const scan = new Scan(text);
  while (scan.step());
  return scan.error();
}

class Scan {
  readonly #text: string;
  readonly #open: ('[' | '{')[] = [];
  #at = 0;
  #expected: Expected = 'value';

  constructor(text: string) {
    this.#text = text;
  }

  /** Takes the next token; false when there is none that may stand here. */
  step(): boolean {
    this.#take(SPACE);
    const next = this.#text[this.#at];
    switch (this.#expected) {
      case 'value':
        return this.#value(next);
      case 'first-item':
        return next === ']' ? this.#close() : this.#value(next);
      case 'first-key':
        return next === '}' ? this.#close() : this.#key();
      case 'key':
        return this.#key();
      case 'colon':
        return next === ':' && this.#move('value');
      case 'more':
        return this.#more(next);
      default:
        return false;
    }
  }

  error(): JsonError {
    const before = this.#text.slice(0, this.#at);
    const line = before.split('\n').length;
    const column = this.#at - before.lastIndexOf('\n');
    const found = this.#text[this.#at];
    const stands = found === undefined ? 'the text ends' : `${JSON.stringify(found)} stands`;
    return { line, column, message: `${stands} where ${this.#wanted()} should be` };
  }

  #wanted(): string {
    switch (this.#expected) {
      case 'value':
      case 'first-item':
        return 'a value';
      case 'first-key':
        return 'a name in double quotes, or }';
      case 'key':
        return 'a name in double quotes';
      case 'colon':
        return 'a colon';
      case 'string':
        return 'the rest of a string (new lines are written \\n)';
      case 'more':
        return this.#open.at(-1) === '[' ? 'a comma or ]' : 'a comma or }';
      default:
        return 'the end';
    }
  }

  #value(next: string | undefined): boolean {
    if (next === '[' || next === '{') {
      this.#open.push(next);
      return this.#move(next === '[' ? 'first-item' : 'first-key');
    }
    return (next === '"' ? this.#string() : this.#take(SCALAR)) && this.#afterValue();
  }

  #key(): boolean {
    if (this.#text[this.#at] !== '"' || !this.#string()) return false;
    this.#expected = 'colon';
    return true;
  }

  /** By hand: a pattern would need stack for each letter. Stops at the bad character when there is one. */
  #string(): boolean {
    this.#at += 1;
    for (; this.#at < this.#text.length; this.#at += 1) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === QUOTE) {
        this.#at += 1;
        return true;
      }
      if (code === BACKSLASH) {
        if (!this.#take(ESCAPE)) break;
        this.#at -= 1;
      } else if (code < SPACE_CODE) break;
    }
    this.#expected = 'string';
    return false;
  }

  #more(next: string | undefined): boolean {
    const inList = this.#open.at(-1) === '[';
    if (next === ',') return this.#move(inList ? 'value' : 'key');
    return next === (inList ? ']' : '}') && this.#close();
  }

  #close(): boolean {
    this.#open.pop();
    this.#at += 1;
    return this.#afterValue();
  }

  #afterValue(): boolean {
    this.#expected = this.#open.length === 0 ? 'end' : 'more';
    return true;
  }

  #move(expected: Expected): boolean {
    this.#at += 1;
    this.#expected = expected;
    return true;
  }

  #take(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return false;
    this.#at += found.length;
    return true;
  }
}
