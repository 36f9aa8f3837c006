import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunRecord } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import type { CommandLine } from '../process-kit/command-line.ts';
import { OwnMachine } from '../process-kit/own-machine.ts';
import { BUSYBOX } from '../process-kit/podman-containers.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';

const MINUTES = 60_000;
const OUT = { outputs: { out: 'fd:1' } };

describe('graphs that grow, on a machine of its own', () => {
  let folder: string;
  let machine: OwnMachine;
  let cli: CommandLine;

  beforeAll(async () => {
    machine = await OwnMachine.start();
    ({ folder, cli } = machine);
  }, 8 * MINUTES);

  afterAll(() => machine.stop(), 8 * MINUTES);

  async function publish(jobs: readonly object[]) {
    return machine.publish({ defaults: { container: BUSYBOX }, jobs });
  }

  async function textOf(output: string): Promise<string> {
    const target = join(folder, output.replaceAll(/[/:]/g, '-'));
    const got = await cli.run('get', `last/${output}`, '-o', target);
    expect(got.code, got.err).toBe(0);
    return readFile(target, 'utf8');
  }

  it(
    'goes over the entries of a directory, a JSON array, lines, and nothing at all',
    async () => {
      const list = shell(
        'find /in/all -type f | sort | while read f; do echo "$f $(cat $f)"; done',
      );
      const said = await publish([
        {
          id: 'split',
          command: shell(
            'mkdir -p /tmp/patches/sub /tmp/none; echo B > /tmp/patches/b; echo A > /tmp/patches/a',
            'echo S > /tmp/patches/sub/s; echo \'[1, {"x": "y"}]\' > /tmp/json; printf "one\\n\\ntwo words\\n" > /tmp/lines',
          ),
          outputs: {
            ...{ patches: 'dir:/tmp/patches', none: 'dir:/tmp/none' },
            ...{ json: 'file:/tmp/json', lines: 'file:/tmp/lines' },
          },
        },
        {
          id: 'tag',
          forEach: 'jobs:split/patches',
          command: shell('echo "$PODMESH_ITEM_NAME: $(find /in/item -type f | xargs cat)"'),
          ...OUT,
        },
        { id: 'number', forEach: 'jobs:split/json', command: ['cat', '/in/item'], ...OUT },
        { id: 'word', forEach: 'jobs:split/lines', command: ['cat', '/in/item'], ...OUT },
        { id: 'never', forEach: 'jobs:split/none', command: ['false'], ...OUT },
        { id: 'tags', inputs: { all: 'jobs:tag/*' }, command: list, ...OUT },
        { id: 'words', inputs: { all: 'jobs:word/out' }, command: list, ...OUT },
        { id: 'second', inputs: { it: 'jobs:number:1/out' }, command: ['cat', '/in/it'], ...OUT },
        { id: 'empty', inputs: { all: 'jobs:never/*' }, command: ['ls', '/in/all'], ...OUT },
      ]);
      expect(said.code, said.err).toBe(0);
      expect(await textOf('tags/out')).toBe(
        '/in/all/0/out a: A\n/in/all/1/out b: B\n/in/all/2/out sub: S\n',
      );
      expect(await textOf('words/out')).toBe('/in/all/0 one\n/in/all/1 two words\n');
      expect(await textOf('second/out')).toBe('{"x":"y"}');
      expect(await textOf('empty/out')).toBe('');
      const shown = await cli.run('show', 'last');
      expect(shown.out).toMatch(/^tag +expanded .*3 elements$/m);
      const record = JSON.parse(await cli.well('show', 'last', '--json')) as RunRecord;
      expect(record.counts).toMatchObject({ tasks: 12, succeeded: 12 });
    },
    8 * MINUTES,
  );

  it(
    'take the jobs of another file in the place of one',
    async () => {
      const inner = {
        version: 1,
        defaults: { container: BUSYBOX, env: { GREETING: 'hello' } },
        outputs: { said: 'jobs:join/out' },
        jobs: [
          {
            id: 'say',
            forEach: 'inputs:names',
            command: shell('echo "$GREETING $(cat /in/item)"'),
            ...OUT,
          },
          { id: 'join', inputs: { all: 'jobs:say/*' }, command: shell('cat /in/all/*/*'), ...OUT },
        ],
      };
      await writeFile(join(folder, 'greet.json'), JSON.stringify(inner));
      const said = await publish([
        { id: 'who', command: shell('echo ann; echo bob'), ...OUT },
        { id: 'greet', graph: 'greet.json', inputs: { names: 'jobs:who/out' } },
        {
          id: 'shout',
          inputs: { it: 'jobs:greet/said' },
          command: shell('tr a-z A-Z < /in/it'),
          ...OUT,
        },
        { id: 'last', after: ['greet'], command: ['true'] },
      ]);
      expect(said.code, said.err).toBe(0);
      expect(await textOf('shout/out')).toBe('HELLO ANN\nHELLO BOB\n');
      expect(await cli.well('show', 'last')).toContain('greet--say:1');

      await writeFile(
        join(folder, 'loop.json'),
        '{"version": 1, "jobs": [{"graph": "./loop.json"}]}',
      );
      const loop = await publish([{ id: 'loop', graph: 'loop.json' }]);
      expect(loop.code).not.toBe(0);
      expect(loop.err).toContain('these files include each other: loop.json → loop.json');
      const missing = await publish([
        { id: 'greet', graph: 'greet.json' },
        { inputs: { it: 'jobs:greet/nothing' }, command: ['true'] },
      ]);
      expect(missing.err).toContain('jobs[0] (greet.json) jobs[0].forEach');
      expect(missing.err).toContain('greet is given no input "names"');
    },
    8 * MINUTES,
  );

  it(
    'run a job only when another one says so',
    async () => {
      const said = await publish([
        { id: 'ask', command: shell('echo yes'), ...OUT },
        {
          id: 'yes',
          when: { output: 'jobs:ask/out', equals: 'yes' },
          command: ['echo', 'so'],
          ...OUT,
        },
        { id: 'no', when: { output: 'jobs:ask/out', contains: 'no' }, command: ['false'], ...OUT },
        { id: 'reads', inputs: { it: 'jobs:no/out' }, command: ['false'] },
        { id: 'later', after: ['no', 'yes'], command: ['true'] },
        { id: 'test', command: shell('exit 3') },
        { id: 'mend', when: { job: 'test', exit: [2, 3] }, command: ['echo', 'mended'], ...OUT },
        { id: 'ship', when: { job: 'test', exit: 0 }, command: ['false'] },
      ]);
      expect(said.code, said.err).toBe(0);
      expect(await textOf('mend/out')).toBe('mended\n');
      const record = JSON.parse(await cli.well('show', 'last', '--json')) as RunRecord;
      const states = record.tasks.map(({ task, state, unneeded }) =>
        [task, state, unneeded ? 'not needed' : ''].join(' ').trim(),
      );
      expect(states).toEqual([
        ...['ask succeeded', 'yes succeeded', 'no skipped not needed', 'reads skipped not needed'],
        ...['later succeeded', 'test failed', 'mend succeeded', 'ship skipped not needed'],
      ]);
      expect(await cli.well('explain', 'last/ship')).toContain('it is not needed');
    },
    8 * MINUTES,
  );

  it(
    'fails where there is no list, and says why',
    async () => {
      const said = await publish([
        { id: 'split', command: ['echo', '[1, 2'], ...OUT },
        { id: 'tag', forEach: 'jobs:split/out', command: ['true'], ...OUT },
        { id: 'join', inputs: { all: 'jobs:tag/*' }, command: ['true'] },
      ]);
      expect(said.code).toBe(1);
      expect(said.err + said.out).toContain(
        'it cannot go over jobs:split/out: it is no JSON array',
      );
      const explained = await cli.run('explain', 'last/join');
      expect(explained.out).toContain('it depends on tag, which failed');
    },
    8 * MINUTES,
  );
});

describe('graphs that grow, when their driver dies', () => {
  let cluster: ProcessMesh;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  it(
    'keep the elements that they have',
    async () => {
      const ann = await cluster.addPeer('ann');
      const graph = busyboxGraph([
        { id: 'split', command: shell('seq 1 40'), ...OUT },
        { id: 'tag', forEach: 'jobs:split/out', command: ['cat', '/in/item'], ...OUT },
        {
          id: 'join',
          inputs: { all: 'jobs:tag/out' },
          command: shell('cat /in/all/* | wc -w'),
          ...OUT,
        },
      ]);
      const run = await cluster.publish(graph);
      await run.until('job-expanded');
      await ann.kill();
      await cluster.addPeer('bob');
      expect(await run.untilEnd()).toMatchObject({ state: 'succeeded', counts: { succeeded: 42 } });
      expect(run.of('job-expanded')).toHaveLength(1);
      expect(run.violations()).toEqual([]);
    },
    8 * MINUTES,
  );
});
