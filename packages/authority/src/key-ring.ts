import { join } from 'node:path';
import { NatsKey } from './nats-key.ts';
import { createPrivately, privateFolder, readIfThere, replacePrivately } from './private-files.ts';
import { memberName, ROLES, type Role } from './role.ts';

/** The keys that make a mesh: whoever has them decides who is in it. */
export interface KeyRing {
  /** Name of the mesh, for people. */
  readonly mesh: string;
  readonly operator: NatsKey;
  /** Of the account in which all of podmesh lives. */
  readonly account: NatsKey;
  /** Of the system account, which looks after servers. */
  readonly system: NatsKey;
  /** One that signs for each role: its permissions hold for all that it signs. */
  readonly signers: Readonly<Record<Role, NatsKey>>;
}

const FILE = 'keys.json';
const VERSION = 1;

/** The ring of the folder; undefined where there is none. Throws an `Error` that names the file when it is damaged. */
export async function readKeyRing(directory: string): Promise<KeyRing | undefined> {
  const path = join(directory, FILE);
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return parseKeyRing(text);
  } catch (error) {
    // No cause: messages of parsers quote what they could not read, and that is keys.
    const why = error instanceof TypeError ? error.message : 'it is no JSON';
    throw new Error(`${path} cannot be used (${why}); put it back from a copy`);
  }
}

/** The ring of the folder, made when there is none. Of two that make it at once, both get the same. */
export async function openKeyRing(directory: string, mesh: string): Promise<KeyRing> {
  await privateFolder(directory);
  const known = await readKeyRing(directory);
  if (known !== undefined) return known;
  const made = newKeyRing(memberName(mesh));
  if (await createPrivately(join(directory, FILE), ringText(made))) return made;
  const other = await readKeyRing(directory);
  if (other === undefined) throw new Error(`${join(directory, FILE)} vanished while it was read`);
  return other;
}

/**
 * The same ring with a new key that signs for tasks, written down before anybody gets it: what the one before signed is worth
 * nothing as soon as servers know the new trust.
 */
export async function withNewTaskSigner(directory: string, ring: KeyRing): Promise<KeyRing> {
  const renewed = { ...ring, signers: { ...ring.signers, task: NatsKey.create('account') } };
  await replacePrivately(join(directory, FILE), ringText(renewed));
  return renewed;
}

function newKeyRing(mesh: string): KeyRing {
  const signers = Object.fromEntries(ROLES.map((role) => [role, NatsKey.create('account')]));
  return {
    mesh,
    operator: NatsKey.create('operator'),
    account: NatsKey.create('account'),
    system: NatsKey.create('account'),
    signers: signers as Record<Role, NatsKey>,
  };
}

function ringText({ mesh, operator, account, system, signers }: KeyRing): string {
  const seeds = Object.fromEntries(ROLES.map((role) => [role, signers[role].seedText]));
  const ring = {
    version: VERSION,
    mesh,
    operator: operator.seedText,
    account: account.seedText,
    system: system.seedText,
    signers: seeds,
  };
  return `${JSON.stringify(ring, undefined, 2)}\n`;
}

function parseKeyRing(text: string): KeyRing {
  const ring = JSON.parse(text) as Record<string, unknown>;
  if (ring.version !== VERSION) throw new TypeError(`version ${String(ring.version)}, not 1`);
  const seeds = (ring.signers ?? {}) as Record<string, unknown>;
  const key = (seed: unknown): NatsKey => NatsKey.fromSeed(String(seed));
  return {
    mesh: memberName(String(ring.mesh)),
    operator: key(ring.operator),
    account: key(ring.account),
    system: key(ring.system),
    signers: Object.fromEntries(ROLES.map((role) => [role, key(seeds[role])])) as Record<
      Role,
      NatsKey
    >,
  };
}
