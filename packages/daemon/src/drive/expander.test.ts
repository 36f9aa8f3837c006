import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  applyEvent,
  artifactId,
  canonicalJson,
  initialRunState,
  type Logged,
  ok,
  parseGraph,
  type RunEvent,
  type RunLog,
  type RunState,
  taskId,
} from '@podmesh/core';
import {
  DirectProcess,
  freshRun,
  sampleStarted,
  sampleSucceeded,
  VirtualClock,
} from '@podmesh/testkit';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../store/local-task-files.ts';
import { putText } from '../store/put-text.ts';
import { WakeUp } from '../wake-up.ts';
import { Expander } from './expander.ts';
import { Growth, READS_MAX } from './growth.ts';
import { Items, LISTS_BYTES_MAX } from './items.ts';

const run = freshRun();

/** As much of a mesh as reading a list takes. */
class Bench {
  readonly stored = new Map<ArtifactId, Buffer>();
  readonly state: RunState;
  readonly told: RunEvent[] = [];
  #sequence = 0;

  readonly artifacts: ArtifactStore = {
    stat: async (ids) =>
      new Map(
        ids.flatMap((id) => {
          const bytes = this.stored.get(id);
          return bytes === undefined ? [] : [[id, this.#ref(id, bytes)] as const];
        }),
      ),
    put: async ({ digest }, bytes) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of bytes) pieces.push(piece);
      this.stored.set(digest, Buffer.concat(pieces));
    },
    get: (id) => this.#read(id),
  };

  constructor(others: readonly string[] = []) {
    const over = { forEach: 'jobs:split/out1', outputs: { out: 'file:/o' } };
    const document = {
      version: 1,
      defaults: { container: 'localhost/tool:1' },
      jobs: [
        { id: 'split', outputs: { out1: 'file:/o' } },
        ...['tag', ...others].map((id) => ({ id, ...over })),
      ],
    };
    const graph = parseGraph(document, sha256);
    if (!graph.ok) throw new Error(JSON.stringify(graph.error));
    this.state = initialRunState(graph.value);
  }

  get parts() {
    const append: RunLog['append'] = async (event) => {
      this.told.push(event);
      return ok(this.tell(event));
    };
    return { log: { append } as RunLog, artifacts: this.artifacts, sha256 };
  }

  tell(event: RunEvent): number {
    this.#sequence += 1;
    const logged: Logged = { event, sequence: this.#sequence, at: 'now' };
    applyEvent(this.state, logged);
    return this.#sequence;
  }

  /** The producer left this. */
  leave(ref: ArtifactRef): void {
    const started = sampleStarted(run, taskId('split'));
    this.tell(started);
    const { result, ...succeeded } = sampleSucceeded(started);
    this.tell({ ...succeeded, result: { ...result, outputs: { out1: ref } } });
  }

  #ref(digest: ArtifactId, bytes: Buffer): ArtifactRef {
    return { digest, kind: 'file', bytes: bytes.length };
  }

  async *#read(id: ArtifactId): AsyncIterable<Uint8Array> {
    const bytes = this.stored.get(id);
    if (bytes === undefined) throw new ArtifactMissingError(id);
    yield bytes;
  }
}

describe('a list that a job goes over', () => {
  it('is refused when it is no text, and says so', async () => {
    const bench = new Bench();
    const bytes = Buffer.from([0x6f, 0x6b, 0x0a, 0xff, 0xfe]);
    const digest = artifactId(`sha256:${sha256('no text')}`);
    bench.stored.set(digest, bytes);
    bench.leave({ digest, kind: 'file', bytes: bytes.length });
    await new Expander(bench.parts, run).expand(bench.state, 1);
    expect(bench.told).toMatchObject([{ kind: 'expansion-failed' }]);
    expect(JSON.stringify(bench.told)).toContain('not all of it is UTF-8, so it is no text');
  });

  it.each(['lines', 'entries'])(
    'of 20,000 %s is read, told, and read again in pieces',
    async (kind) => {
      const bench = new Bench();
      const names = Array.from(
        { length: 20_000 },
        (_, at) => `patch-${String(at).padStart(6, '0')}`,
      );
      const file = artifactId(`sha256:${sha256('x')}`);
      const entries = names.map((path) => ({
        ...{ kind: 'file', path, digest: file, bytes: 1, executable: false },
      }));
      const text = kind === 'lines' ? names.join('\n') : canonicalJson({ podmeshTree: 1, entries });
      bench.leave(await putText(bench.artifacts, sha256, kind === 'lines' ? 'file' : 'dir', text));
      const from = performance.now();
      expect(await new Expander(bench.parts, run).expand(bench.state, 1)).toBeUndefined();
      const took = Math.round(performance.now() - from);
      process.stderr.write(`20,000 ${kind} expanded in ${took} ms\n`);
      expect(bench.told).toMatchObject([
        { kind: 'job-expanded', task: 'tag', count: 20_000, elements: { kind: 'artifacts' } },
      ]);
      expect(bench.state.ready.size).toBe(20_000);
      const items = new Items(bench.parts);
      const last = bench.state.index.numberOf(taskId('tag:19999')) ?? 0;
      await items.prepare(bench.state, [last]);
      const item = items.of(last);
      if (kind === 'entries') expect(item).toMatchObject({ name: names[19_999] });
      else expect(bench.stored.get(item.artifact.digest)?.toString()).toBe(names[19_999]);
    },
  );

  it('that is gone is asked for, and one that is none fails its job', async () => {
    const gone = new Bench();
    const ref: ArtifactRef = {
      digest: artifactId(`sha256:${sha256('gone')}`),
      kind: 'file',
      bytes: 4,
    };
    gone.leave(ref);
    const suspect = await new Expander(gone.parts, run).expand(gone.state, 1);
    expect(suspect).toEqual({ task: 1, artifacts: [ref] });

    const long = new Bench();
    long.leave({ ...ref, bytes: 2 ** 30 });
    await new Expander(long.parts, run).expand(long.state, 1);
    expect(long.told).toMatchObject([{ kind: 'expansion-failed', task: 'tag' }]);
    expect(long.state.counts.failed).toBe(1);
  });

  it('is forgotten for others, and read again', async () => {
    const bench = new Bench(['tug']);
    bench.leave(await putText(bench.artifacts, sha256, 'file', 'x'));
    for (const id of ['tag', 'tug']) {
      const piece = await putText(bench.artifacts, sha256, 'file', `[{"text":"${id}"}]`);
      const long = { ...piece, bytes: LISTS_BYTES_MAX };
      const elements = { kind: 'artifacts', artifacts: [long] } as const;
      const told = { kind: 'job-expanded', run, task: taskId(id), source: piece.digest } as const;
      bench.tell({ ...told, count: 1, elements });
    }
    let reads = 0;
    const get: ArtifactStore['get'] = (id) => {
      reads += 1;
      return bench.artifacts.get(id);
    };
    const items = new Items({ ...bench.parts, artifacts: { ...bench.artifacts, get } });
    const [tag = 0, tug = 0] = ['tag:0', 'tug:0'].map((id) =>
      bench.state.index.numberOf(taskId(id)),
    );
    const textOf = (task: number) => `${bench.stored.get(items.of(task).artifact.digest)}`;
    await items.prepare(bench.state, [tag, tug]);
    expect([textOf(tag), textOf(tug), reads]).toEqual(['tag', 'tug', 2]);
    await items.prepare(bench.state, [tug]);
    expect([textOf(tug), reads]).toEqual(['tug', 2]);
    await items.prepare(bench.state, [tag]);
    expect([textOf(tag), reads]).toEqual(['tag', 3]);
  });

  it('that peers say they have and never give fails its job in the end', async () => {
    const bench = new Bench();
    const digest = artifactId(`sha256:${sha256('promised')}`);
    bench.leave({ digest, kind: 'file', bytes: 4 });
    const time = new VirtualClock();
    const { clock } = new DirectProcess('p', time);
    const parts = { ...bench.parts, clock, logger: pino({ enabled: false }) };
    const growth = new Growth(parts, run, new WakeUp(), new AbortController().signal);
    for (let misses = 1; misses <= READS_MAX; misses += 1) {
      expect(bench.told).toEqual([]);
      expect(growth.look(bench.state, 1)).toBeUndefined();
      await time.advance(10);
      expect(growth.look(bench.state, 1)).toMatchObject({ task: 1 });
      await growth.readAgain(bench.state, [1]);
      await time.advance(1_000);
    }
    expect(bench.told).toMatchObject([
      {
        kind: 'expansion-failed',
        task: 'tag',
        failure: { message: expect.stringContaining('none could give it') },
      },
    ]);
    expect(bench.state.counts.failed).toBe(1);
  });
});
