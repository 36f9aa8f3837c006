import {
  type ArtifactRef,
  type Failure,
  type RunEnded,
  type RunEvent,
  type RunId,
  taskId,
} from '@podmesh/core';
import type { FakeWorld } from './fake-world.test-kit.ts';
import {
  digestOf,
  failed,
  RESULT,
  refOf,
  started,
  succeeded,
  takesDownTwo,
} from './sample-run.test-kit.ts';

/** Plays the peers of a mesh: appends to a run's log what they would. */
export class FakeDriver {
  readonly #world: FakeWorld;
  readonly run: RunId;

  constructor(world: FakeWorld, run: RunId) {
    this.#world = world;
    this.run = run;
  }

  /** For the newest run of the world's mesh. */
  static async newest(world: FakeWorld): Promise<FakeDriver> {
    const newest = (await world.others.log.runs()).at(-1);
    if (newest === undefined) throw new Error('nothing was published');
    return new FakeDriver(world, newest.run);
  }

  async start(task: string, attempt = 1): Promise<void> {
    await this.#append({ ...started(task, attempt), run: this.run });
  }

  /** Lets the task take down two peers, with this attempt and the next. */
  async hold(task: string, attempt = 1): Promise<void> {
    for (const event of takesDownTwo(task, attempt))
      await this.#append({ ...event, run: this.run });
  }

  /** Ends the task well, with these texts as outputs; a map is a directory of files. */
  async succeed(task: string, outputs: Readonly<Record<string, string>> = {}): Promise<void> {
    const refs: Record<string, ArtifactRef> = {};
    for (const [name, text] of Object.entries(outputs)) refs[name] = await this.store(text);
    const log = { ...(await this.store(`log of ${task}\n`)), truncated: false };
    const { digest, bytes, truncated } = log;
    const event = succeeded(task, { ...RESULT, outputs: refs, log: { digest, bytes, truncated } });
    await this.#append({ ...event, run: this.run });
  }

  /** Ends the task badly, with this much of its log. */
  async failWithHole(task: string, kept: string, bytes = Buffer.byteLength(kept)): Promise<void> {
    const { digest } = await this.store(kept);
    await this.fail(task, '', { log: { digest, bytes, truncated: true } });
  }

  async fail(task: string, stderrTail = 'oh no\n', more: Partial<Failure> = {}): Promise<void> {
    await this.#append({ ...failed(task, { stderrTail, ...more }), run: this.run });
  }

  /** Finds nothing that a `forEach` job could go over. */
  async expandToNothing(task: string): Promise<void> {
    await this.#append({
      kind: 'job-expanded',
      run: this.run,
      task: taskId(task),
      source: digestOf(''),
      count: 0,
      elements: { kind: 'inline', elements: [] },
    });
  }

  async end(state: RunEnded['state'], record: string = ''): Promise<void> {
    const counts = { succeeded: 0, cached: 0, failed: 0, skipped: 0, cancelled: 0 };
    await this.store(record);
    await this.#append({
      kind: 'run-ended',
      run: this.run,
      state,
      counts,
      record: digestOf(record),
    });
  }

  async store(text: string): Promise<ArtifactRef> {
    const ref = refOf(text);
    await this.#world.others.artifacts.put(
      ref,
      (async function* () {
        yield Buffer.from(text);
      })(),
    );
    return ref;
  }

  async #append(event: RunEvent): Promise<void> {
    const { log } = this.#world.others;
    const last = 'task' in event ? await log.lastOfTask(event.run, event.task) : undefined;
    const appended = await log.append(event, last?.sequence ?? 0);
    if (!appended.ok) throw new Error(`stale: ${event.kind}`);
  }
}
