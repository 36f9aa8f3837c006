import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Anchor, AnchorRecord } from '@podmesh/core';
import { EmbeddedNatsServer, type EmbeddedServerEvent } from '@podmesh/jetstream';

export interface SeatServersOptions {
  /** Folder of all servers of this home. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onEvent: (event: EmbeddedServerEvent) => void;
}

/** The servers that one home can run: each generation has a folder of its own, so that none ever changes what it is. */
export class SeatServers {
  readonly #options: SeatServersOptions;

  constructor(options: SeatServersOptions) {
    this.#options = options;
  }

  /** The one that is alone, as it was from the beginning. */
  alone(): EmbeddedNatsServer {
    return this.#server(this.#options.folder);
  }

  /** The same data, for whoever moves it and for nobody else: another port, another token, no member of anything. */
  closed(name: string, port: number): EmbeddedNatsServer {
    const token = randomBytes(24).toString('hex');
    return this.#server(this.#options.folder, { name, client: `127.0.0.1:${port}`, token });
  }

  /** That of a cluster; `client` is where it listens now. */
  member(record: AnchorRecord, self: Anchor, token: string, client: string): EmbeddedNatsServer {
    const { generation, cluster = '', anchors } = record;
    const routes = anchors.flatMap(({ route }) => route ?? []);
    return this.#server(this.folderOf(generation), {
      name: self.server,
      client,
      token,
      cluster: { cluster, listen: self.route ?? '', routes, secret: token },
    });
  }

  folderOf(generation: number): string {
    return join(this.#options.folder, `g${generation}`);
  }

  /** What a server had that is never going to be, or was, the truth. */
  async forget(generation: number): Promise<void> {
    const folder = this.folderOf(generation);
    await this.#server(folder).endLeft();
    await rm(folder, { recursive: true, force: true });
  }

  /** What the server that was alone had. */
  async forgetAlone(): Promise<void> {
    await rm(join(this.#options.folder, 'jetstream'), { recursive: true, force: true });
  }

  #server(
    directory: string,
    place?: ConstructorParameters<typeof EmbeddedNatsServer>[0]['place'],
  ): EmbeddedNatsServer {
    const { env, onEvent } = this.#options;
    return new EmbeddedNatsServer({
      directory,
      env,
      onEvent,
      ...(place === undefined ? {} : { place }),
    });
  }
}
