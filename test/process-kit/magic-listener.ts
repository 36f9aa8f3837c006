import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { within } from './within.ts';

const READY_MS = 240_000;

/** As a network card listens: all that is sent to its port, from whomever. */
const LISTEN = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (bytes, { address }) => console.log(address + ' ' + bytes.toString('hex')));
  socket.bind(9, () => console.log('listening'));
  process.stdin.on('end', () => process.exit()).resume();
`;

/** What came to a machine's network card while it slept. */
export interface HeardPacket {
  readonly from: string;
  readonly hex: string;
}

/** Listens in the network of one machine of a test. */
export class MagicListener {
  readonly heard: HeardPacket[] = [];
  readonly #child: ReturnType<typeof spawn>;
  #wake: () => void = () => undefined;

  private constructor(child: ReturnType<typeof spawn>) {
    this.#child = child;
  }

  /** `under`: what runs commands there. */
  static async start(under: readonly string[]): Promise<MagicListener> {
    const [program = '', ...words] = [...under, process.execPath, '-e', LISTEN];
    const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const listener = new MagicListener(child);
    const lines = createInterface({ input: child.stdout });
    await within(READY_MS, () => 'a listener', once(lines, 'line'));
    lines.on('line', (line) => {
      const [from = '', hex = ''] = line.split(' ');
      listener.heard.push({ from, hex });
      listener.#wake();
    });
    return listener;
  }

  /** Resolves when there are so many. */
  async until(count: number, ms: number): Promise<void> {
    const there = new Promise<void>((resolve) => {
      this.#wake = () => {
        if (this.heard.length >= count) resolve();
      };
      this.#wake();
    });
    await within(ms, () => `${count} packets, of which ${this.heard.length} came`, there);
  }

  /** Works twice. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await exit;
  }
}
