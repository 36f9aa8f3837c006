import type { FailureKind } from '../run/failure-kind.ts';
import type { RuntimeName, SpawnBudget } from './graph.ts';

/**
 * The document as a person writes it, once `graphSchema` has accepted its shape. What the members
 * mean is said there, in the descriptions that editors show; `parseGraph` turns it into a `Graph`.
 */
export interface GraphDocument {
  readonly $schema?: string;
  readonly version: 1;
  readonly name?: string;
  readonly secrets?: Readonly<Record<string, DocumentSecret>>;
  readonly stores?: Readonly<Record<string, DocumentStore>>;
  readonly defaults?: DocumentDefaults;
  readonly outputs?: Readonly<Record<string, string>>;
  readonly jobs: readonly DocumentJob[];
}

/** What every job may say, and what `defaults` says for all of them. */
export interface DocumentDefaults {
  readonly container?: string;
  readonly command?: readonly string[];
  readonly env?: DocumentEnv;
  readonly net?: boolean;
  readonly needs?: DocumentNeeds;
  /** Seconds, or text such as `"90s"`. */
  readonly timeout?: number | string;
  /** A number for all kinds of the task's own failures together, or a table by failure kind. */
  readonly retries?: number | Readonly<Partial<Record<FailureKind, number>>>;
  readonly runtime?: RuntimeName;
  readonly cache?: boolean;
  readonly replicas?: number;
  readonly keep?: boolean;
}

export interface DocumentJob extends DocumentDefaults {
  readonly id?: string;
  /** Instead of a command. */
  readonly job?: DocumentPythonJob;
  /** The list is always empty. */
  readonly inputs?: Readonly<Record<string, string | DocumentInput>> | readonly never[];
  readonly outputs?: Readonly<Record<string, string | DocumentOutput>> | readonly never[];
  readonly secrets?: Readonly<Record<string, string | { readonly file: string }>>;
  readonly after?: readonly string[];
  readonly count?: number;
  readonly when?: DocumentWhen;
  /** A document whose jobs take the place of this one; whoever reads the document does that. */
  readonly graph?: string;
  readonly forEach?: string | { readonly over: string; readonly as: 'json' | 'lines' };
  readonly spawn?: SpawnBudget;
}

/** An input from a store outside of the mesh. */
export interface DocumentInput {
  readonly from: string;
  readonly digest?: string;
}

/** An output that is also delivered to such a store. Exactly one of `file`, `dir` and `fd`. */
export interface DocumentOutput {
  readonly file?: string;
  readonly dir?: string;
  readonly fd?: number;
  readonly to: string;
}

/** Exactly one member. */
export interface DocumentSecret {
  readonly env?: string;
  readonly file?: string;
  readonly peer?: { readonly env?: string; readonly file?: string };
}

/** How the stores are reached whose addresses begin alike; credentials are names of secrets. */
export interface DocumentStore {
  readonly endpoint?: string;
  readonly region?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
  readonly authorization?: string;
}

export interface DocumentWhen {
  readonly job?: string;
  readonly exit?: number | readonly number[];
  readonly output?: string;
  readonly equals?: string;
  readonly contains?: string;
  readonly not?: boolean;
}

/** Paths are relative to the document. */
export interface DocumentPythonJob {
  readonly python: string;
  /** A requirements file, or what would stand in one. */
  readonly requirements?: string | readonly string[];
  readonly wheels?: string;
}

/** `["KEY=value"]`, or `{"KEY": "value"}`. */
export type DocumentEnv = readonly string[] | Readonly<Record<string, string | number | boolean>>;

export interface DocumentNeeds {
  readonly cpus?: number | string;
  /** Bytes, or text such as `"512MiB"`. */
  readonly memory?: number | string;
  readonly disk?: number | string;
  readonly gpus?: number;
  readonly arch?: string;
  readonly labels?: DocumentEnv;
}
