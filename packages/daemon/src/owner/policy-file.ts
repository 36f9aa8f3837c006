import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  defaultPolicyDocument,
  type GraphProblem,
  type OwnerPolicy,
  parsePolicy,
  toPolicy,
} from '@podmesh/core';
import { parseDocument } from 'yaml';
import { isAbsence } from '../store/absence.ts';

const NAMES = ['policy.yaml', 'policy.yml', 'policy.json'];
const BYTES_MAX = 64 * 1024;

/** Where the wishes of this machine's owner come from. */
export interface PolicyInForce {
  readonly policy: OwnerPolicy;
  /** The file; absent: there is none, and the defaults hold. */
  readonly file?: string;
  /** What is wrong with it; then the policy is the one from before. */
  readonly problems: readonly GraphProblem[];
}

/** The owner's file in a home, read again whenever it has changed. */
export class PolicyFile {
  readonly #home: string;
  readonly #fallback: OwnerPolicy;
  #mark = '';
  #inForce: PolicyInForce;

  constructor(home: string, hasBattery: boolean) {
    this.#home = home;
    this.#fallback = toPolicy(defaultPolicyDocument(hasBattery));
    this.#inForce = { policy: this.#fallback, problems: [] };
  }

  get inForce(): PolicyInForce {
    return this.#inForce;
  }

  /** Looks whether it has changed; whether that is so. Never throws: what cannot be read is a problem of it. */
  async look(): Promise<boolean> {
    const found = await this.#find();
    const mark = found === undefined ? 'none' : `${found.file} ${found.mark}`;
    if (mark === this.#mark) return false;
    this.#mark = mark;
    this.#inForce =
      found === undefined ? { policy: this.#fallback, problems: [] } : await this.#read(found.file);
    return true;
  }

  async #find(): Promise<{ readonly file: string; readonly mark: string } | undefined> {
    for (const name of NAMES) {
      const file = join(this.#home, name);
      try {
        const { mtimeMs, size, ino } = await stat(file);
        return { file, mark: `${mtimeMs} ${size} ${ino}` };
      } catch (error) {
        if (!isAbsence(error)) return { file, mark: String(error) };
      }
    }
    return undefined;
  }

  async #read(file: string): Promise<PolicyInForce> {
    const { policy } = this.#inForce;
    const refused = (problem: string, advice: string): PolicyInForce => {
      return { policy, file, problems: [{ path: '(document)', problem, advice }] };
    };
    try {
      const text = await readFile(file, 'utf8');
      if (text.length > BYTES_MAX) return refused('it is too large', 'A policy has a few rules.');
      const yaml = parseDocument(text, { version: '1.2' });
      const [wrong] = yaml.errors;
      if (wrong !== undefined) return refused(wrong.message, 'Correct it; JSON is YAML, too.');
      const parsed = parsePolicy(yaml.toJS({ maxAliasCount: 100 }));
      if (parsed.ok) return { policy: parsed.value, file, problems: [] };
      return { policy, file, problems: parsed.error };
    } catch (error) {
      return refused(error instanceof Error ? error.message : String(error), 'Is it readable?');
    }
  }
}
