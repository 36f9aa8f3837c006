import { createPrivateKey, sign } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as secure } from 'node:tls';

/** What a server answered to one line. */
export type Answered = { readonly kind: 'ok' } | { readonly kind: 'refused'; readonly why: string };

/** A message that came. */
export interface Heard {
  readonly head: string;
  readonly body: string;
}

/** The head of a key in PKCS #8, for which Node wants it. */
const KEY_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** A client that knows the protocol and nothing else, so that nothing it tries is stopped before the server sees it. */
export class PlainNats {
  #socket: Socket;
  readonly #heard: Heard[] = [];
  #said = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  #listen(socket: Socket): void {
    socket.on('data', (piece) => {
      this.#said = Buffer.concat([this.#said, piece]);
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** `ca`: of the mesh. Throws with the server's words when it does not let these credentials in. */
  static async enter(address: string, credentials: string, ca: string): Promise<PlainNats> {
    const { hostname, port } = new URL(`nats://${address.replace(/^.*@|^nats:\/\//, '')}`);
    const client = new PlainNats(connect(Number(port), hostname));
    const info = await client.#line();
    const { nonce } = JSON.parse(info.slice('INFO '.length)) as { nonce: string };
    await client.#secure(ca);
    const [, jwt = '', , seed = ''] = credentials.split(/-----BEGIN[^\n]*\n(\S+)\n/);
    const key = createPrivateKey({
      key: Buffer.concat([KEY_HEAD, fromBase32(seed).subarray(2, 34)]),
      format: 'der',
      type: 'pkcs8',
    });
    const sig = sign(null, Buffer.from(nonce), key).toString('base64url');
    const hello = { jwt, sig, verbose: false, headers: true, no_responders: true };
    client.#socket.write(`CONNECT ${JSON.stringify(hello)}\r\n`);
    const answered = await client.settle();
    if (answered.kind === 'refused') throw new Error(answered.why);
    return client;
  }

  publish(subject: string, body = '', reply = ''): Promise<Answered> {
    this.#socket.write(`PUB ${subject} ${reply} ${Buffer.byteLength(body)}\r\n${body}\r\n`);
    return this.settle();
  }

  subscribe(subject: string): Promise<Answered> {
    this.#socket.write(`SUB ${subject} ${Math.floor(performance.now())}\r\n`);
    return this.settle();
  }

  /** The next message. */
  async message(): Promise<Heard> {
    for (;;) {
      const heard = this.#heard.shift();
      if (heard !== undefined) return heard;
      if ((await this.#line()) === '') throw new Error('the server ended the connection');
    }
  }

  /** What the server has against what was sent so far; it answers in order. Throws when it ends the connection without a word. */
  async settle(): Promise<Answered> {
    this.#socket.write('PING\r\n');
    let found: Answered = { kind: 'ok' };
    for (;;) {
      const line = await this.#line();
      if (line.startsWith('-ERR')) found = { kind: 'refused', why: line };
      if (line === '' && found.kind === 'ok') throw new Error('the server ended the connection');
      if (line === 'PONG' || line === '') return found;
      if (line === 'PING') this.#socket.write('PONG\r\n');
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  /** After its first line a server of a mesh speaks TLS, under the one name that all of them have. */
  async #secure(ca: string): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners();
    await new Promise<void>((resolve, reject) => {
      const secured = secure({ socket: plain, ca, servername: 'server.podmesh' }, resolve);
      secured.once('error', reject);
      this.#socket = secured;
    });
    this.#listen(this.#socket);
  }

  /** Messages are put aside as well. Empty: the server ended the connection and nothing more comes. */
  async #line(): Promise<string> {
    let end = this.#said.indexOf('\r\n');
    while (end < 0 && (await this.#more())) end = this.#said.indexOf('\r\n');
    if (end < 0) return '';
    const line = this.#take(end).toString();
    if (!/^H?MSG /.test(line)) return line;
    const words = line.split(' ');
    const size = Number(words.at(-1));
    const headSize = line.startsWith('H') ? Number(words.at(-2)) : 0;
    while (this.#said.length < size + 2 && (await this.#more()));
    const whole = this.#take(size);
    const head = whole.subarray(0, headSize).toString();
    this.#heard.push({ head, body: whole.subarray(headSize).toString() });
    return line;
  }

  #take(bytes: number): Buffer {
    const taken = this.#said.subarray(0, bytes);
    this.#said = this.#said.subarray(bytes + 2);
    return taken;
  }

  /** False: nothing more comes. */
  #more(): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#wake = () => resolve(!this.#ended);
    });
  }
}

function fromBase32(text: string): Buffer {
  let bits = '';
  for (const letter of text) bits += BASE32.indexOf(letter).toString(2).padStart(5, '0');
  const bytes = bits.match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)));
}
