import type { ArtifactId, ArtifactRef, Failure, TaskState } from '@podmesh/core';

/** A sub-task as it was when somebody looked. */
export interface SubTaskView {
  readonly task: string;
  readonly state: TaskState['kind'];
  /** Nothing can happen to it any more. */
  readonly settled: boolean;
  readonly attempts: number;
  readonly cached?: boolean;
  readonly outputs?: Readonly<Record<string, ArtifactRef>>;
  readonly failure?: Pick<Failure, 'kind' | 'message' | 'stderrTail'>;
}

/** A sub-task did not succeed. */
export class SubTaskFailedError extends Error {
  readonly view: SubTaskView;

  constructor(view: SubTaskView) {
    super(`${view.task} ${view.state}: ${view.failure?.message ?? ''}`);
    this.name = 'SubTaskFailedError';
    this.view = view;
  }
}

export interface SubTaskSource {
  look(id: string, wait: boolean): Promise<SubTaskView>;
  drop(id: string): Promise<SubTaskView>;
  fetch(artifact: ArtifactId): Promise<Buffer>;
}

/** A task that this one spawned. */
export class SubTask {
  readonly id: string;
  readonly #source: SubTaskSource;

  constructor(id: string, source: SubTaskSource) {
    this.id = id;
    this.#source = source;
  }

  /** As it is now. */
  look(): Promise<SubTaskView> {
    return this.#source.look(this.id, false);
  }

  /** Resolves when it is settled; meanwhile the cores of this task are for others. */
  async wait(): Promise<SubTaskView> {
    for (;;) {
      const view = await this.#source.look(this.id, true);
      if (view.settled) return view;
    }
  }

  /** It is wanted no more, nor what it spawned: what has not begun never does, what runs is ended. How it is then. */
  cancel(): Promise<SubTaskView> {
    return this.#source.drop(this.id);
  }

  /** Its outputs by name. Throws `SubTaskFailedError`. */
  async outputs(): Promise<Readonly<Record<string, ArtifactRef>>> {
    const view = await this.wait();
    if (view.state !== 'succeeded' || view.outputs === undefined)
      throw new SubTaskFailedError(view);
    return view.outputs;
  }

  /** The bytes of one output. Throws `SubTaskFailedError`, or a `TypeError` when it has no such output. */
  async output(name: string): Promise<Buffer> {
    const outputs = await this.outputs();
    const found = Object.hasOwn(outputs, name) ? outputs[name] : undefined;
    if (found !== undefined) return this.#source.fetch(found.digest);
    throw new TypeError(`${this.id} has no output ${JSON.stringify(name)}`);
  }
}
