import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type AnchorRecord, parseAnchorRecord } from '@podmesh/core';
import type { TaskSigning } from './authority.ts';
import { privateFolder, readIfThere, replacePrivately } from './private-files.ts';
import { memberName, type Role } from './role.ts';
import type { ServerTrust } from './server-trust.ts';

/** Where a mesh is, as each of its members keeps it. */
export interface MeshPlace {
  /** Name of the mesh, for people. */
  readonly mesh: string;
  /** Own name in it. */
  readonly member: string;
  /** `host:port` each. */
  readonly servers: readonly string[];
}

/** What `join` gives a member beside its credentials: all connections are TLS as soon as there is a CA. */
export interface MemberCertificates {
  /** PEM of the mesh's own authority. */
  readonly ca: string;
  /** PEM, own; absent where the member only connects and proves itself by its credentials. */
  readonly certificate?: string;
  readonly key?: string;
}

/** PEM. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** Files of `PODMESH_HOME/mesh`; the folder has mode 700, each file 600. */
const PLACE = 'mesh.json';
const TRUST = 'trust.json';
const ANCHORS = 'anchors.json';
const TASK_SIGNING = 'task-signing.json';
const CA = 'ca.pem';
const CERTIFICATE = 'certificate.pem';
const KEY = 'key.pem';
const SERVER_CERTIFICATE = 'server.pem';
const SERVER_KEY = 'server-key.pem';
const VERSION = 1;

/** What one home knows of the mesh that it is a member of. Texts are written whole or not at all. */
export class MeshFolder {
  readonly path: string;

  /** `PODMESH_HOME/mesh`. */
  constructor(path: string) {
    this.path = path;
  }

  at(name: string): string {
    return join(this.path, name);
  }

  /** Undefined where this home is no member of anything. */
  async place(): Promise<MeshPlace | undefined> {
    const said = await this.#readJson(PLACE);
    if (said === undefined) return undefined;
    const { version, mesh, member, servers } = said;
    if (version !== VERSION || !Array.isArray(servers) || servers.length === 0)
      throw this.#damaged(PLACE);
    return {
      mesh: memberName(String(mesh)),
      member: memberName(String(member)),
      servers: servers.map(String),
    };
  }

  /** The last of what a new member writes: whoever finds the place finds the rest. */
  async setPlace(place: MeshPlace): Promise<void> {
    await this.#write(PLACE, `${JSON.stringify({ version: VERSION, ...place }, undefined, 2)}\n`);
  }

  /** Who carries the mesh, as this home heard last; undefined where it never did. */
  async anchors(): Promise<AnchorRecord | undefined> {
    return parseAnchorRecord(await this.#readJson(ANCHORS));
  }

  /**
   * The servers of a newer record take the place of those of the one before; addresses that somebody gave stay: behind a
   * tunnel they may be the only ones that this home reaches.
   */
  async setAnchors(record: AnchorRecord): Promise<void> {
    const [known, place] = await Promise.all([this.anchors(), this.place()]);
    if (place === undefined || (known?.generation ?? 0) > record.generation) return;
    const old = new Set(known?.anchors.map(({ client }) => client));
    const given = place.servers.filter((server) => !old.has(server));
    const clients = record.anchors.map(({ client }) => client);
    await this.setPlace({ ...place, servers: [...new Set([...clients, ...given])] });
    await this.#write(ANCHORS, `${JSON.stringify(record, undefined, 2)}\n`);
  }

  /** Text of a `.creds` file; undefined where this home has none for the role. */
  credentials(role: Role): Promise<string | undefined> {
    return readIfThere(this.at(`${role}.creds`));
  }

  setCredentials(role: Role, text: string): Promise<void> {
    return this.#write(`${role}.creds`, text);
  }

  /** What it was given for a role that it has no more. Harmless when it has none. */
  forgetCredentials(role: Role): Promise<void> {
    return rm(this.at(`${role}.creds`), { force: true });
  }

  /** On machines that may carry a server. */
  async trust(): Promise<ServerTrust | undefined> {
    const said = await this.#readJson(TRUST);
    if (said === undefined) return undefined;
    const { operator, systemAccount, account, accounts } = said;
    if (typeof accounts !== 'object' || accounts === null) throw this.#damaged(TRUST);
    return {
      operator: String(operator),
      systemAccount: String(systemAccount),
      account: String(account),
      accounts: accounts as Readonly<Record<string, string>>,
    };
  }

  setTrust(trust: ServerTrust): Promise<void> {
    return this.#write(TRUST, `${JSON.stringify(trust, undefined, 2)}\n`);
  }

  /** On peers; undefined for users. */
  async taskSigning(): Promise<TaskSigning | undefined> {
    const said = await this.#readJson(TASK_SIGNING);
    if (said === undefined) return undefined;
    return { account: String(said.account), seed: String(said.seed) };
  }

  setTaskSigning(signing: TaskSigning): Promise<void> {
    return this.#write(TASK_SIGNING, `${JSON.stringify(signing, undefined, 2)}\n`);
  }

  /** Undefined in a mesh whose only server is on loopback and without TLS. */
  async certificates(): Promise<MemberCertificates | undefined> {
    const [ca, certificate, key] = await Promise.all(
      [CA, CERTIFICATE, KEY].map((name) => readIfThere(this.at(name))),
    );
    if (ca === undefined) return undefined;
    const own = certificate !== undefined && key !== undefined ? { certificate, key } : {};
    return { ca, ...own };
  }

  /** The key first and the CA last: TLS is only asked for when all is there. */
  async setCertificates({ ca, certificate, key }: MemberCertificates): Promise<void> {
    if (key !== undefined) await this.#write(KEY, key);
    if (certificate !== undefined) await this.#write(CERTIFICATE, certificate);
    await this.#write(CA, ca);
  }

  /** Of the nats-server on this machine, with that of the authority behind it; absent where there is none. */
  async serverCertificate(): Promise<ServerCertificate | undefined> {
    const [certificate, key] = await Promise.all(
      [SERVER_CERTIFICATE, SERVER_KEY].map((name) => readIfThere(this.at(name))),
    );
    return certificate === undefined || key === undefined ? undefined : { certificate, key };
  }

  /** No server is here any more. Harmless when there was none. */
  async forgetServerCertificate(): Promise<void> {
    for (const name of [SERVER_CERTIFICATE, SERVER_KEY]) await rm(this.at(name), { force: true });
  }

  /** Where a server finds them. */
  get serverFiles() {
    return {
      certificateFile: this.at(SERVER_CERTIFICATE),
      keyFile: this.at(SERVER_KEY),
      caFile: this.at(CA),
    };
  }

  async setServerCertificate({ certificate, key }: ServerCertificate): Promise<void> {
    await this.#write(SERVER_KEY, key);
    await this.#write(SERVER_CERTIFICATE, certificate);
  }

  /** Leaves the mesh: credentials and keys are gone from this disk. */
  async remove(): Promise<void> {
    const names = await readdir(this.path).catch(() => []);
    if (names.length > 0) await rm(this.path, { recursive: true, force: true });
  }

  async #write(name: string, text: string): Promise<void> {
    await privateFolder(this.path);
    await replacePrivately(this.at(name), text);
  }

  async #readJson(name: string): Promise<Record<string, unknown> | undefined> {
    const text = await readIfThere(this.at(name));
    if (text === undefined) return undefined;
    try {
      const said: unknown = JSON.parse(text);
      if (typeof said === 'object' && said !== null) return said as Record<string, unknown>;
    } catch {
      // Not the parser's words: they quote the text.
    }
    throw this.#damaged(name);
  }

  #damaged(name: string): Error {
    return new Error(
      `${this.at(name)} is damaged; join the mesh again, or put it back from a copy`,
    );
  }
}
