import { describe, expect, it } from 'vitest';
import { parseSpawn } from '../graph/parse-spawn.ts';
import { taskId } from '../words/ids.ts';
import { SPAWN_BYTES_PER_RUN_MAX } from '../words/limits.ts';
import { assert } from '../words/unreachable.ts';
import { fakeSha256, RunFixture } from './run-fixture.test-kit.ts';
import { asks } from './spawn.test-kit.ts';
import { judgeSpawn, spawnerOf } from './spawn-tasks.ts';

const OUT = { outputs: { out: 'fd:1' } };

describe('the image of a sub-task', () => {
  const problemsOf = (run: RunFixture, parent: string, job: object) => {
    const spawner = spawnerOf(run.state, taskId(parent), fakeSha256);
    assert(spawner !== undefined, 'the parent is there');
    const read = parseSpawn({ key: 'k', jobs: [job] }, spawner);
    return read.ok ? [] : read.error.map(({ path, problem }) => `${path}: ${problem}`);
  };
  const begun = (...jobs: readonly object[]): RunFixture => {
    const run = new RunFixture(jobs);
    run.start('a');
    return run;
  };
  const IMAGE = `sha256:${'a'.repeat(64)}`;

  it.each([
    ['its own', 'localhost/tool:1'],
    ['of another job of the document', 'localhost/other:2'],
    ['of the mesh', 'mesh/me/tool:3'],
    ['of the mesh, as it was pushed', 'localhost:5055/me/tool:3'],
    ['of podmesh', 'localhost/podmesh/python:1'],
    ['one that it built', 'jobs:a--k--x/out'],
  ])('may be %s', (_, container) => {
    const run = begun({ id: 'a' }, { id: 'b', container: 'localhost/other:2' });
    run.tell(asks(run, 'a', 'k', [{ id: 'x', ...OUT }, { id: 'y' }]));
    expect(problemsOf(run, 'a', { container })).toEqual([]);
  });

  it.each(['docker.io/library/debian:12', 'localhost/tool:2', IMAGE])('is not %s', (container) => {
    const found = problemsOf(begun({ id: 'a' }), 'a', { container });
    expect(found).toEqual([
      expect.stringMatching(
        /^jobs\[0\]\.container: .*, which the document of this run does not name$/,
      ),
    ]);
  });

  it('is what the document gives instead, with "*" for any end', () => {
    const images = ['docker.io/library/*', IMAGE, 'mesh/me/*'];
    const run = begun({ id: 'a', spawn: { images } }, { id: 'b', container: 'localhost/other:2' });
    for (const container of ['docker.io/library/debian:12', IMAGE, 'localhost:5055/me/tool:1'])
      expect(problemsOf(run, 'a', { container })).toEqual([]);
    for (const container of ['docker.io/evil/x', 'localhost/other:2', 'mesh/you/tool:1'])
      expect(problemsOf(run, 'a', { container })).toHaveLength(1);
    expect(problemsOf(run, 'a', {})).toEqual([]);
    const none = begun({ id: 'a', spawn: { images: [] } });
    expect(problemsOf(none, 'a', { container: 'mesh/me/tool:1' })).toHaveLength(1);
    const any = begun({ id: 'a', spawn: { images: ['*'] } });
    expect(problemsOf(any, 'a', { container: 'quay.io/x/y' })).toEqual([]);
  });

  it('is never one that only a sub-task gives to its own', () => {
    const run = begun({ id: 'a' });
    run.tell(asks(run, 'a', 'k', [{ spawn: { images: ['*'] } }]));
    run.start('a--k');
    expect(problemsOf(run, 'a--k', { container: 'quay.io/x/y' })).toHaveLength(1);
    const held = begun({ id: 'a', spawn: { images: ['*'] } });
    held.tell(asks(held, 'a', 'k', [{ spawn: { images: ['quay.io/*'] } }]));
    held.start('a--k');
    expect(problemsOf(held, 'a--k', { container: 'quay.io/x/y' })).toEqual([]);
    expect(problemsOf(held, 'a--k', { container: 'ghcr.io/x/y' })).toHaveLength(1);
  });
});

describe('all spawns of a run together', () => {
  it('take so many bytes of its log at most, those refused among them', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    const first = asks(run, 'a', 'k', [{}]);
    run.tell(first);
    const bytes = JSON.stringify(first.jobs).length;
    expect(run.state.spawnBytes).toBe(bytes);
    run.state.spawnBytes = SPAWN_BYTES_PER_RUN_MAX - bytes - 1;
    run.tell(asks(run, 'a', 'l', [{}]));
    const over = asks(run, 'a', 'm', [{}]);
    run.tell(over);
    expect(run.task('a').kind).toBe('running');
    expect(run.state.index.jobs).toHaveLength(3);
    expect(JSON.stringify(judgeSpawn(run.state, over))).toContain(
      `${SPAWN_BYTES_PER_RUN_MAX / 1024 ** 2} MiB of the log of the run`,
    );
    // What is there already is found by its key all the same.
    expect(judgeSpawn(run.state, first)).toMatchObject({ kind: 'accepted' });
  });
});
