import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { CliError } from '../cli-error.ts';
import type { World } from '../world.ts';

/** An answer; a cache of a million artifacts is listed in less. */
const ANSWER_BYTES_MAX = 512 * 1024 * 1024;
const LINE_CHARACTERS_MAX = 1024 * 1024;
/** Without a word for so long the daemon hangs: removing many artifacts takes a while, and says nothing as it goes. */
const SILENCE_MS_MAX = 10 * 60_000;

export type Answer = Readonly<Record<string, unknown>>;

/** The daemon of this home, asked over its socket. Everything throws a `CliError`. */
export class DaemonSocket {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async get(path: string): Promise<Answer> {
    return await this.#whole(await this.#ask('GET', path));
  }

  async post(path: string, body: object): Promise<Answer> {
    return await this.#whole(await this.#ask('POST', path, body));
  }

  /** The lines of an answer as they come. */
  async *postForLines(path: string, body: object): AsyncGenerator<Answer> {
    const response = await this.#ask('POST', path, body);
    let rest = '';
    for await (const text of this.#texts(response)) {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LINE_CHARACTERS_MAX) throw notUnderstood();
      for (const line of lines) yield parseAnswer(line);
    }
  }

  /** The beginning of an answer that is no refusal. */
  async #ask(method: string, path: string, body?: object): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      host: 'podmesh',
      ...(text === undefined ? {} : { 'content-length': String(Buffer.byteLength(text)) }),
    };
    const asking = request({ socketPath: this.#path, method, path, headers, agent: false });
    asking.setTimeout(SILENCE_MS_MAX, () => asking.destroy(new Error('it says nothing')));
    asking.end(text);
    const [response] = await once(asking, 'response').catch((error: unknown) => {
      throw unanswered(error);
    });
    const answer = response as IncomingMessage;
    if (answer.statusCode === 200) return answer;
    throw refusal(answer.statusCode ?? 0, await this.#whole(answer));
  }

  async #whole(response: IncomingMessage): Promise<Answer> {
    let text = '';
    for await (const piece of this.#texts(response)) {
      text += piece;
      if (text.length > ANSWER_BYTES_MAX) throw notUnderstood();
    }
    return parseAnswer(text);
  }

  async *#texts(response: IncomingMessage): AsyncGenerator<string> {
    response.setEncoding('utf8');
    try {
      for await (const piece of response) yield String(piece);
    } catch (error) {
      throw unanswered(error);
    }
  }
}

/** The socket of the daemon that runs in this home; says what to do where there is none. */
export async function openDaemonSocket({ home, version }: World): Promise<DaemonSocket> {
  const daemon = await home.daemon();
  if (daemon === undefined) {
    throw new CliError('daemon', `no podmesh daemon runs in ${home.path}`, {
      advice: 'Start it with "podmesh up --detach", or name the home of another with PODMESH_HOME.',
    });
  }
  if (daemon.socket !== undefined) return new DaemonSocket(daemon.socket);
  const isOther = daemon.version !== version;
  const restart = 'podmesh down; podmesh up --detach';
  const what = isOther
    ? `the daemon in ${home.path} is of version ${daemon.version}, which takes no such commands`
    : `the daemon in ${home.path} has no socket for commands`;
  const advice = isOther
    ? `Restart it with version ${version}: ${restart}`
    : `${home.at('daemon.log')} says why. To restart it: ${restart}`;
  throw new CliError('daemon', what, { advice });
}

/** `{error, advice}`, as the daemon refuses. */
function refusal(status: number, { error, advice }: Answer): CliError {
  const kind = status === 400 || status === 413 ? 'arguments' : 'daemon';
  return new CliError(kind, `the daemon refused: ${String(error ?? status)}`, {
    ...(typeof advice === 'string' ? { advice } : {}),
  });
}

function unanswered(error: unknown): CliError {
  const what = error instanceof Error ? error.message : String(error);
  return new CliError('daemon', `the daemon of this home gave no answer: ${what}`, {
    advice:
      'It may have just stopped; its state: podmesh peers. To restart it: podmesh down; podmesh up --detach',
    cause: error,
  });
}

function parseAnswer(text: string): Answer {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null) return answer as Answer;
  } catch {
    // The same as what is no object.
  }
  throw notUnderstood();
}

/** For what cannot be read of an answer. */
export function notUnderstood(): CliError {
  return new CliError('daemon', 'the daemon of this home gave an answer that makes no sense', {
    advice: 'Is it of the same version? To restart it: podmesh down; podmesh up --detach',
  });
}
