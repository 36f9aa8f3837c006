import type {
  ActionDigest,
  ArtifactId,
  ArtifactRef,
  ArtifactStore,
  ResultCache,
  TaskResult,
} from '@podmesh/core';
import type { Logger } from 'pino';

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

  constructor(parts: KnownResultsParts) {
    this.#parts = parts;
  }

  /**
   * The known results of these actions whose bytes can still be had: a record whose bytes are gone is a
   * miss (DESIGN §7). A directory counts by its listing; its files are looked at when it is read.
   */
  async find(actions: readonly ActionDigest[]): Promise<ReadonlyMap<ActionDigest, TaskResult>> {
    try {
      const records = await this.#parts.results.lookUp([...new Set(actions)]);
      const results = [...records].filter(([, record]) => isResult(record));
      if (results.length === 0) return new Map();
      const wanted = new Set(results.flatMap(([, result]) => artifactsOf(result)));
      const there = await this.#parts.artifacts.stat([...wanted]);
      return new Map(
        results.filter(([, result]) => artifactsOf(result).every((id) => there.has(id))),
      );
    } catch (error) {
      this.#parts.logger.warn({ err: error }, 'the result cache did not answer; running instead');
      return new Map();
    }
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

function artifactsOf(result: TaskResult): readonly ArtifactId[] {
  return [...Object.values(result.outputs).map((ref) => ref.digest), result.log.digest];
}
