import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  type Finding,
  type Graph,
  type GraphProblem,
  ok,
  PortError,
  type Result,
  type RunId,
  refused,
  SECRET_BYTES_MAX,
  SECRETS_BYTES_MAX,
  type SecretRef,
  type SecretValues,
} from '@podmesh/core';
import { sealBox } from '@podmesh/jetstream';
import type { Client } from './client.ts';

/** Nobody is there who could keep the secrets of a run. */
export class NoPeerForSecretsError extends PortError {
  constructor() {
    const what = 'no peer is in the mesh for which the secrets could be sealed';
    super(`${what}; start one with "podmesh up" and publish again`, { retryable: false });
  }
}

/** Where a publisher's secrets are looked for. */
interface Here {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What their files are relative to. */
  readonly directory: string;
}

/** The values of all secrets that the publisher has to give; or each one that is not there. */
export async function readSecrets(
  graph: Graph,
  here: Here,
): Promise<Result<SecretValues, readonly GraphProblem[]>> {
  const values = new Map<string, Uint8Array>();
  const problems: GraphProblem[] = [];
  for (const [name, ref] of Object.entries(graph.secrets ?? {})) {
    if (ref.from === 'peer') continue;
    const read = await readSecret(ref, here);
    if (read instanceof Uint8Array) values.set(name, read);
    else problems.push({ path: placeOf(name, ref), ...read });
  }
  const bytes = [...values.values()].reduce((sum, value) => sum + value.length, 0);
  if (bytes > SECRETS_BYTES_MAX) {
    const problem = `the secrets have ${bytes} bytes together, and ${SECRETS_BYTES_MAX} are possible`;
    problems.push({ path: 'secrets', problem, advice: 'Give keys, not data, as secrets.' });
  }
  return problems.length > 0 ? refused(problems) : ok(values);
}

/**
 * Seals the values for every peer that is in the mesh now; those that come later ask these. Before the run is published,
 * so that no task can start without.
 */
export async function sealSecrets(
  { peers, boxes }: Pick<Client, 'peers' | 'boxes'>,
  run: RunId,
  values: SecretValues,
): Promise<void> {
  if (values.size === 0) return;
  let sealed = 0;
  for (const { peer, sealingKey } of await peers.list()) {
    if (sealingKey === undefined) continue;
    await boxes.put(run, peer, sealBox(values, sealingKey, { run, peer }));
    sealed += 1;
  }
  if (sealed > 0) return;
  throw new NoPeerForSecretsError();
}

function placeOf(name: string, { env }: SecretRef): string {
  const plain = /^[A-Za-z_$][\w$-]{0,63}$/.test(name);
  const member = plain ? `.${name}` : `[${JSON.stringify(name)}]`;
  return `secrets${member}.${env === undefined ? 'file' : 'env'}`;
}

async function readSecret(
  { env, file = '' }: SecretRef,
  here: Here,
): Promise<Uint8Array | Finding> {
  if (env !== undefined) {
    const value = here.env[env];
    if (value) return checkLength(Buffer.from(value), `the environment variable ${env}`);
    const problem = `the environment variable ${env} is ${value === undefined ? 'not set' : 'empty'}`;
    return { problem, advice: `Set it where you publish: ${env}=… podmesh run …` };
  }
  const path = resolve(here.directory, file);
  try {
    return checkLength(await readStart(path), path);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { problem: `the file of this secret cannot be read: ${message}`, advice: ADVICE };
  }
}

const ADVICE = 'Name a file that you may read; its path is relative to the document.';

function checkLength(value: Uint8Array, where: string): Uint8Array | Finding {
  if (value.length === 0) return { problem: `${where} is empty`, advice: 'Put the value into it.' };
  if (value.length <= SECRET_BYTES_MAX) return value;
  const problem = `${where} has more than ${SECRET_BYTES_MAX} bytes, which is the most for a secret`;
  return { problem, advice: 'Give keys, not data, as secrets.' };
}

async function readStart(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(SECRET_BYTES_MAX + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
