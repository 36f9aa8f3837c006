import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';

/** What became of an attempt: `refused` is the server's own word, not silence. */
export type Fate = 'done' | 'refused';

/**
 * A client as anybody may write one: it knows credentials and nothing else of podmesh. Each attempt is followed by a round
 * trip to the server, which tells of a refusal before it answers: nothing is waited for.
 */
export class PlainClient {
  readonly nc: NatsConnection;
  readonly #prefix: string;
  readonly #refusals: string[] = [];

  private constructor(nc: NatsConnection, prefix: string) {
    this.nc = nc;
    this.#prefix = prefix;
    void this.#watch();
  }

  static async connect(port: number, creds: string, inboxPrefix: string): Promise<PlainClient> {
    const authenticator = credsAuthenticator(new TextEncoder().encode(creds));
    const options = { servers: `127.0.0.1:${port}`, authenticator, inboxPrefix, reconnect: false };
    return new PlainClient(await connect(options), inboxPrefix);
  }

  publish(subject: string, payload = '{}'): Promise<Fate> {
    return this.#try(subject, () => this.nc.publish(subject, payload));
  }

  /** Of what the server answers: the request itself is what may be refused. */
  api(subject: string, payload: object = {}): Promise<Fate> {
    const reply = `${this.#prefix}.answers`;
    return this.#try(subject, () => this.nc.publish(subject, JSON.stringify(payload), { reply }));
  }

  subscribe(subject: string): Promise<Fate> {
    return this.#try(subject, () => {
      this.nc.subscribe(subject, { callback: () => undefined });
    });
  }

  close(): Promise<void> {
    return this.nc.close();
  }

  async #try(subject: string, act: () => void): Promise<Fate> {
    const before = this.#refusals.length;
    act();
    await this.nc.flush();
    // The status is told in a later turn than the answer to the round trip.
    await new Promise((resolve) => setImmediate(resolve));
    const refused = this.#refusals.slice(before).some((text) => text.includes(`"${subject}"`));
    return refused ? 'refused' : 'done';
  }

  async #watch(): Promise<void> {
    for await (const status of this.nc.status())
      if (status.type === 'error') this.#refusals.push(status.error.message);
  }
}
