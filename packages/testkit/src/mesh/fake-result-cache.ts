import type { ActionDigest, ResultCache, TaskResult } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

/** The results bucket: action → result as JSON. */
export type ResultServer = Map<ActionDigest, string>;

/** The result cache as one process sees it. */
export class FakeResultCache implements ResultCache {
  private readonly process: FakeProcess;
  private readonly server: ResultServer;

  constructor(process: FakeProcess, server: ResultServer) {
    this.process = process;
    this.server = server;
  }

  lookUp(actions: readonly ActionDigest[]): Promise<ReadonlyMap<ActionDigest, TaskResult>> {
    return this.process.call(`results.look-up ${actions.length}`, () => {
      const found = new Map<ActionDigest, TaskResult>();
      for (const action of actions) {
        const text = this.server.get(action);
        if (text !== undefined) found.set(action, JSON.parse(text) as TaskResult);
      }
      return found;
    });
  }

  record(action: ActionDigest, result: TaskResult): Promise<void> {
    const text = JSON.stringify(result);
    return this.process.call(`results.record ${action}`, () => {
      this.server.set(action, text);
    });
  }

  forget(action: ActionDigest): Promise<void> {
    return this.process.call(`results.forget ${action}`, () => {
      this.server.delete(action);
    });
  }
}
