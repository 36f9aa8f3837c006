import { randomBytes } from 'node:crypto';
import { access, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type MeshFolder,
  NotAMemberError,
  openCredentials,
  replacePrivately,
} from '@podmesh/authority';
import type { Anchor, AnchorRecord } from '@podmesh/core';
import {
  EmbeddedNatsServer,
  type EmbeddedServerEvent,
  freePort,
  type TrustedServer,
} from '@podmesh/jetstream';
import { isLoopback, isWildcard } from '@podmesh/transfer';
import type { ServeAddress } from '../configuration.ts';
import { listenAddress } from '../membership/listening.ts';
import { hostOf, placeOf, portOf } from './anchor-place.ts';

export interface SeatServersOptions {
  /** Folder of all servers of this home. */
  readonly folder: string;
  /** What this home knows as a member. */
  readonly mesh: MeshFolder;
  /** Where a server that is alone lets clients in; a wildcard holds for all servers of this home. */
  readonly listen: ServeAddress;
  readonly env: NodeJS.ProcessEnv;
  readonly onEvent: (event: EmbeddedServerEvent) => void;
}

/** Credentials of a peer that is about to be an anchor; they are the home's as soon as it is one. */
export interface AnchorCredentials {
  readonly anchor: string;
  readonly system: string;
}

const SECRET = 'route.secret';
const HELPER = 'rescue-helper';
const LOOPBACK = '127.0.0.1';
/** All that a server knows, in a folder of that name. */
const STORE = 'jetstream';
const ROLES = ['anchor', 'system'] as const;

/** The servers that one home can run: each has a folder of its own for ever, so that none ever changes what it is. */
export class SeatServers {
  readonly #options: SeatServersOptions;
  #listen: ServeAddress;

  constructor(options: SeatServersOptions) {
    this.#options = options;
    this.#listen = options.listen;
  }

  /** The one that is alone, as it was from the beginning; `at`: where its clients look for it since it was another. */
  async alone(at?: string): Promise<EmbeddedNatsServer> {
    const { folder } = this.#options;
    if (at !== undefined) await this.#keepListening(at);
    const { host, port } = this.#listen;
    const listen = { host, port: at === undefined ? port : portOf(at) };
    return this.#server(folder, { listen, trusted: await this.#trusted() });
  }

  /** The same data, for whoever moves it and for nobody else: another port, another secret, no member of anything. */
  async closed(): Promise<EmbeddedNatsServer> {
    const { folder } = this.#options;
    const { trust } = await this.#trusted();
    const listen = { host: '127.0.0.1', port: await freePort() };
    return this.#server(folder, { listen, closedFor: trust.account });
  }

  /** That of a cluster; `beside`: where nobody looks for it yet. */
  async member(record: AnchorRecord, self: Anchor, beside = false): Promise<EmbeddedNatsServer> {
    const { mesh } = this.#options;
    const { cluster = '', anchors } = record;
    const { server: name, client: advertise, route = '' } = self;
    const routes = anchors.flatMap((anchor) => anchor.route ?? []);
    const folder = this.folderOf(name);
    const secret = await this.secretOf(name);
    const tls = mesh.serverFiles;
    const listen = beside
      ? { host: '127.0.0.1', port: await freePort() }
      : { host: this.bindHost(hostOf(advertise)), port: portOf(advertise) };
    const routeListen = `${this.bindHost(hostOf(route))}:${portOf(route)}`;
    return this.#server(folder, {
      listen,
      trusted: await this.#trusted(folder),
      place: {
        name,
        advertise,
        cluster: { cluster, listen: routeListen, advertise: route, routes, secret, tls },
      },
    });
  }

  /** Clients look for it there after every restart; what somebody named already holds. */
  async #keepListening(at: string): Promise<void> {
    if (!isLoopback(this.#listen.host) || isLoopback(hostOf(at))) return;
    const address = { host: hostOf(at), port: portOf(at) };
    this.#listen = await listenAddress(this.#options.folder, address);
  }

  /**
   * Those of a cluster most of which is gone, where nobody else reaches them: the one of this home, and a helper with nothing
   * in it. Alone, a server would not agree with itself after a restart; both may be started again at any time.
   */
  async apart({ cluster = '' }: AnchorRecord, server: string) {
    const { folder } = this.#options;
    const [helperFolder, secret] = [join(folder, HELPER), randomBytes(32).toString('hex')];
    const names = [server, HELPER];
    const ports: { readonly client: number; readonly route: number }[] = [];
    for (const _ of names) ports.push({ client: await freePort(), route: await freePort() });
    const routes = ports.map(({ route }) => placeOf(LOOPBACK, route));
    const trusted = await this.#trusted(this.folderOf(server));
    return names.map((name, number) => {
      const { client = 0, route = 0 } = ports[number] ?? {};
      const advertise = placeOf(LOOPBACK, client);
      const listen = { host: LOOPBACK, port: client };
      const among = { cluster, listen: placeOf(LOOPBACK, route), routes, secret };
      const directory = name === HELPER ? helperFolder : this.folderOf(name);
      return this.#server(directory, {
        listen,
        trusted,
        place: { name, advertise, cluster: among },
      });
    });
  }

  /** What the helper of a rescue had. */
  async forgetHelper(): Promise<void> {
    await this.#forgetFolder(join(this.#options.folder, HELPER));
  }

  /** Where a server listens that others find at this host. */
  bindHost(host: string): string {
    const listen = this.#listen;
    return isWildcard(listen.host) && !isLoopback(host) ? listen.host : host;
  }

  /** What a server needs before it can be started: on the disk before any seat speaks of it. */
  async prepare(server: string, secret: string, credentials?: AnchorCredentials): Promise<void> {
    const folder = this.folderOf(server);
    await this.#forgetFolder(folder);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await replacePrivately(join(folder, SECRET), secret);
    if (credentials === undefined) return;
    for (const role of ROLES)
      await replacePrivately(join(folder, `${role}.creds`), credentials[role]);
  }

  /** What the servers of its cluster show each other. */
  secretOf(server: string): Promise<string> {
    return readFile(join(this.folderOf(server), SECRET), 'utf8');
  }

  /** From now on this home looks after the mesh's servers. */
  async adoptCredentials(server: string): Promise<void> {
    for (const role of ROLES) {
      const text = await this.#kept(this.folderOf(server), role);
      if (text !== undefined) await this.#options.mesh.setCredentials(role, text);
    }
  }

  /** Of the server of this name, told by the generation that it was made for: its name is never used again. */
  folderOf(server: string): string {
    const generation = /-g(\d+)-[0-9a-f]+$/.exec(server)?.[1];
    if (generation === undefined) throw new Error(`${server} is no name of a server of a cluster`);
    return this.#folderOfGeneration(Number(generation));
  }

  /** What a server had that is never going to be, or was, the truth. */
  async forget(generation: number): Promise<void> {
    await this.#forgetFolder(this.#folderOfGeneration(generation));
  }

  async forgetServer(server: string): Promise<void> {
    await this.#forgetFolder(this.folderOf(server));
  }

  /**
   * Where a server's folder is from now on that is never served again, and may have what nobody else has: nothing here
   * ever takes it away. Nothing to do where that was done.
   */
  async setAside(server: string): Promise<string> {
    const from = this.folderOf(server);
    const kept = join(this.#options.folder, `over-${basename(from)}`);
    await this.#server(from, {}).endLeft();
    if (!(await isThere(from))) return kept;
    await rename(from, kept);
    await syncFolder(this.#options.folder);
    return kept;
  }

  /** Whether the server still has anything here. */
  hasStore(server: string): Promise<boolean> {
    return isThere(join(this.folderOf(server), STORE));
  }

  /** Whether servers were ever started `apart`: what is here may be another than its cluster's since. */
  wereApart(): Promise<boolean> {
    return isThere(join(this.#options.folder, HELPER));
  }

  /** What the server that was alone had. */
  async forgetAlone(): Promise<void> {
    const { folder } = this.#options;
    await this.#server(folder, {}).endLeft();
    await rm(join(folder, STORE), { recursive: true, force: true });
  }

  /**
   * Makes what a server of a cluster has that of the one that is alone; nothing to do where that was done. Only while
   * neither runs: a crash leaves the store in one place or the other.
   */
  async takeStore(server: string): Promise<void> {
    const { folder } = this.#options;
    const from = this.folderOf(server);
    await this.#server(from, {}).endLeft();
    await this.#server(folder, {}).endLeft();
    if (!(await isThere(join(from, STORE)))) return;
    // What was there before is older, and was to be forgotten.
    await rm(join(folder, STORE), { recursive: true, force: true });
    await rename(join(from, STORE), join(folder, STORE));
    await Promise.all([from, folder].map(syncFolder));
  }

  #folderOfGeneration(generation: number): string {
    return join(this.#options.folder, `g${generation}`);
  }

  async #forgetFolder(folder: string): Promise<void> {
    await this.#server(folder, {}).endLeft();
    await rm(folder, { recursive: true, force: true });
  }

  async #kept(folder: string, role: string): Promise<string | undefined> {
    return readFile(join(folder, `${role}.creds`), 'utf8').catch(() => undefined);
  }

  /** As whom this home looks after its server: as an anchor, as soon as it is about to be one. */
  async #trusted(folder?: string): Promise<TrustedServer> {
    const { mesh } = this.#options;
    const kept = folder === undefined ? undefined : await this.#kept(folder, 'anchor');
    const [trust, certificates] = await Promise.all([mesh.trust(), mesh.certificates()]);
    const credentials = kept ?? (await mesh.credentials('anchor'));
    if (trust === undefined || credentials === undefined)
      throw new NotAMemberError(`${mesh.path} lost its trust.json or anchor.creds`);
    return {
      trust,
      member: { name: openCredentials(credentials).name, role: 'anchor', credentials },
      tls: mesh.serverFiles,
      ...(certificates === undefined ? {} : { certificates }),
    };
  }

  #server(
    directory: string,
    more: Partial<ConstructorParameters<typeof EmbeddedNatsServer>[0]>,
  ): EmbeddedNatsServer {
    const { env, onEvent } = this.#options;
    return new EmbeddedNatsServer({ directory, env, onEvent, ...more });
  }
}

/** Whatever else than its absence keeps it from being seen is an error: nothing may be forgotten because of it. */
const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );

/** What was renamed is so after a power cut, too. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  await folder.sync().finally(() => folder.close());
}
