import type {
  ActionDigest,
  ArtifactRef,
  ArtifactStore,
  ResultCache,
  TaskResult,
} from '@podmesh/core';
import type { Logger } from 'pino';
import { LostFromStore, type LostOutputs } from './lost-outputs.ts';

export interface KnownResultsParts {
  readonly results: ResultCache;
  readonly artifacts: ArtifactStore;
  readonly logger: Logger;
}

/**
 * The result cache as the daemon uses it. It is a convenience: what it cannot answer is a miss, and a
 * result it cannot take is published all the same.
 */
export class KnownResults {
  readonly #parts: KnownResultsParts;
  readonly #lost: LostOutputs;

  constructor(parts: KnownResultsParts) {
    this.#parts = parts;
    this.#lost = new LostFromStore(parts.artifacts);
  }

  /**
   * The known results of these actions whose bytes can still be had: a record whose bytes are gone is a
   * miss (DESIGN §7), and is forgotten. A directory counts with everything below its listing.
   */
  async find(actions: readonly ActionDigest[]): Promise<ReadonlyMap<ActionDigest, TaskResult>> {
    try {
      const records = await this.#parts.results.lookUp([...new Set(actions)]);
      const results = [...records].filter(([, record]) => isResult(record));
      if (results.length === 0) return new Map();
      const artifacts = results.flatMap(([, result]) => artifactsOf(result));
      const missing = new Set(await this.#lost.missing(artifacts));
      const found = new Map<ActionDigest, TaskResult>();
      for (const [action, result] of results) {
        if (artifactsOf(result).some(({ digest }) => missing.has(digest)))
          await this.#forget(action);
        else found.set(action, result);
      }
      return found;
    } catch (error) {
      this.#parts.logger.warn({ err: error }, 'the result cache did not answer; running instead');
      return new Map();
    }
  }

  async #forget(action: ActionDigest): Promise<void> {
    this.#parts.logger.info({ action }, 'forgot a cached result: its bytes are gone');
    await this.#parts.results.forget(action);
  }

  async record(action: ActionDigest, result: TaskResult): Promise<void> {
    try {
      await this.#parts.results.record(action, result);
    } catch (error) {
      this.#parts.logger.warn({ action, err: error }, 'could not put a result into the cache');
    }
  }
}

/** Whether a record has the parts we read: another version may have written it. */
function isResult(record: Partial<TaskResult> | null): boolean {
  if (!record?.outputs || !record.log?.digest || !record.machine || !record.exit) return false;
  const outputs: readonly (Partial<ArtifactRef> | null)[] = Object.values(record.outputs);
  return outputs.every((output) => output?.digest !== undefined);
}

function artifactsOf({ outputs, log }: TaskResult): readonly ArtifactRef[] {
  return [...Object.values(outputs), { digest: log.digest, kind: 'file', bytes: log.bytes }];
}
