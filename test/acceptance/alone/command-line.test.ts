import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunRecord } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandLine } from '../../process-kit/command-line.ts';
import { BUSYBOX, podman } from '../../process-kit/podman-containers.ts';
import { removeFolder } from '../../process-kit/remove-folder.ts';

const MINUTES = 60_000;

describe('the command line on a machine of its own', () => {
  let folder: string;
  let cli: CommandLine;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podmesh-cli-'));
    cli = new CommandLine(join(folder, 'home'), folder);
    await podman(
      'save',
      '--quiet',
      '--format',
      'oci-archive',
      '-o',
      join(folder, 'image'),
      BUSYBOX,
    );
  }, 8 * MINUTES);

  afterAll(async () => {
    await cli.run('down');
    await removeFolder(folder);
  }, 8 * MINUTES);

  async function publish(jobs: readonly object[], ...words: readonly string[]) {
    await writeFile(join(folder, 'graph.json'), JSON.stringify({ version: 1, jobs }));
    return cli.run('run', 'graph.json', ...words);
  }

  async function record(run = 'last'): Promise<RunRecord> {
    const { out, err, code } = await cli.run('show', run, '--json');
    expect(code, err).toBe(0);
    return JSON.parse(out) as RunRecord;
  }

  it('says with 3 that there is no mesh, and what to do', async () => {
    const { code, err } = await cli.run('ps');
    expect(code).toBe(3);
    expect(err).toContain('podmesh up');
  });

  it(
    'runs without a daemon by a temporary peer, and says so',
    async () => {
      const job = { id: 'one', container: BUSYBOX, command: ['echo', 'hello'] };
      const { code, out, err } = await publish([job]);
      expect(code, out + err).toBe(0);
      expect(out + err).toContain('podmesh up');
    },
    8 * MINUTES,
  );

  it(
    'starts a lasting peer once the temporary one has gone, with the same runs',
    async () => {
      await cli.run('down');
      const { code, err } = await cli.run('up', '--detach', '--cores', '2');
      expect(code, err).toBe(0);
      const runs = JSON.parse(await cli.well('ps', '--json')) as { state: string }[];
      expect(runs.map((run) => run.state)).toEqual(['succeeded']);
      const second = await cli.run('up', '--detach');
      expect(second.code).toBe(0);
      expect(second.out + second.err).toContain('already');
    },
    8 * MINUTES,
  );

  it(
    'runs the document of the first issue, an image built by a job in it, and all of it from the cache the second time',
    async () => {
      const image = (await podman('image', 'inspect', '--format', '{{.Id}}', BUSYBOX)).trim();
      const put = await cli.run('put', 'image');
      const document = {
        version: 1,
        jobs: [
          {
            id: 'j1',
            container: `sha256:${image.replace('sha256:', '')}`,
            env: ['foo=bar'],
            command: ['/usr/bin/sh', '-c', 'cat /in/in1'],
            inputs: { in1: put.out.trim().split(/\s+/)[0] },
            outputs: { out1: 'fd:0' },
          },
          {
            id: 'j2',
            container: 'jobs:j1/out1',
            env: ['foo=baz'],
            inputs: [],
            command: ['sh', '-c', 'echo "$foo" > /tmp/results.txt'],
            outputs: { out1: 'file:/tmp/results.txt' },
          },
          {
            container: `sha256:${image.replace('sha256:', '')}`,
            env: ['foo=buz'],
            inputs: { fromj2: 'jobs:j2/out1' },
            command: [
              'sh',
              '-c',
              'cat /in/fromj2 > /tmp/more-results.txt; echo $foo >> /tmp/more-results.txt',
            ],
            outputs: { out1: 'file:/tmp/more-results.txt' },
          },
        ],
      };
      await writeFile(join(folder, 'issue.json'), JSON.stringify(document));
      const first = await cli.run('run', 'issue.json');
      expect(first.code, first.out + first.err).toBe(0);
      const got = await cli.run('get', 'last/job-3/out1', '-o', '-');
      expect(got.out).toBe('baz\nbuz\n');
      const ran = await record();
      expect(ran.counts).toMatchObject({ tasks: 3, succeeded: 3, cached: 0 });
      expect(ran.tasks[0]).toMatchObject({
        job: 'j1',
        state: 'succeeded',
        cached: false,
        exit: { code: 0 },
        attempts: [{ attempt: 1, outcome: 'succeeded' }],
      });
      const [task] = ran.tasks;
      expect(Object.keys(task?.machine ?? {}).sort()).toEqual([
        'arch',
        'cores',
        'cpuModel',
        'hostname',
        'kernel',
        'memoryBytes',
        'os',
        'podmanVersion',
      ]);
      expect(task?.usage?.wallMs).toBeGreaterThanOrEqual(0);
      expect(task?.log).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(task?.outputs.out1).toBe(task?.inputs.in1);

      const again = await cli.run('run', 'issue.json');
      expect(again.code, again.err).toBe(0);
      const cached = await record();
      expect(cached.run).not.toBe(ran.run);
      expect(cached.counts).toMatchObject({ succeeded: 3, cached: 3 });
      expect(cached.tasks.map((t) => t.outputs)).toEqual(ran.tasks.map((t) => t.outputs));
    },
    10 * MINUTES,
  );

  it(
    'tells with 1 which task failed, how, the end of its log and the command to see more',
    async () => {
      const { code, out, err } = await publish([
        { id: 'bad', container: BUSYBOX, command: ['sh', '-c', 'echo why >&2; exit 7'] },
        { id: 'behind', container: BUSYBOX, after: ['bad'], command: ['true'] },
      ]);
      expect(code).toBe(1);
      const said = out + err;
      for (const word of ['bad', 'exit', '7', 'why', 'podmesh logs']) expect(said).toContain(word);
      const { tasks } = await record();
      expect(tasks.map((task) => task.state)).toEqual(['failed', 'skipped']);
      expect(tasks[0]?.failure).toMatchObject({ kind: 'exit', stderrTail: 'why\n' });
      expect((await cli.run('wait', 'last')).code).toBe(1);
      expect(await cli.well('explain', 'last/behind')).toContain('bad');
    },
    8 * MINUTES,
  );

  it(
    'tells with 2 everything that is wrong with a document, and starts nothing',
    async () => {
      const before = await cli.well('ps', '--json');
      const { code, err } = await publish([
        { id: 'a', container: BUSYBOX, inputs: { x: 'jobs:nobody/out', y: 'file:missing.txt' } },
        { id: 'a', container: BUSYBOX, after: ['b'] },
        { id: 'b', container: BUSYBOX, after: ['b'], colour: 'red' },
      ]);
      expect(code).toBe(2);
      for (const word of ['nobody', 'missing.txt', 'colour', 'jobs[1]'])
        expect(err).toContain(word);
      expect((await cli.feed('{"version": 1,', 'run', '-')).code).toBe(2);
      expect((await cli.run('run', 'no-such-file.json')).code).toBe(2);
      expect((await cli.run('frobnicate')).code).toBe(2);
      expect(await cli.well('ps', '--json')).toBe(before);
    },
    8 * MINUTES,
  );

  it(
    'stores and fetches files and directories, and gathers an array in order',
    async () => {
      const { code, err } = await publish([
        {
          id: 'list',
          container: BUSYBOX,
          count: 12,
          command: ['sh', '-c', 'echo part $PODMESH_INDEX of $PODMESH_COUNT; echo seen >&2'],
          outputs: { part: 'fd:1' },
        },
        {
          id: 'tree',
          container: BUSYBOX,
          inputs: { parts: 'jobs:list/part' },
          command: [
            'sh',
            '-c',
            'mkdir -p /tmp/t/sub; cat /in/parts/* > /tmp/t/sub/all; ln -s sub/all /tmp/t/link; ! touch /in/parts/x',
          ],
          outputs: { tree: 'dir:/tmp/t' },
        },
      ]);
      expect(code, err).toBe(0);
      const got = await cli.run('get', 'last/tree/tree', '-o', 'tree');
      expect(got.code, got.err).toBe(0);
      expect(await readdir(join(folder, 'tree'))).toEqual(['link', 'sub']);
      const all = await readFile(join(folder, 'tree/link'), 'utf8');
      expect(all.split('\n')[10]).toBe('part 10 of 12');
      expect(await cli.well('get', 'last/list:3/part', '-o', '-')).toBe('part 3 of 12\n');
      expect(await cli.well('logs', 'last/list:3')).toContain('seen');
    },
    8 * MINUTES,
  );

  it(
    'detaches, explains what waits for a machine that is not there, and cancels',
    async () => {
      const big = { id: 'big', container: BUSYBOX, command: ['true'], needs: { cpus: 512 } };
      const { code, out } = await publish([big], '--detach');
      expect(code).toBe(0);
      expect(out.trim()).toMatch(/^[a-z0-9]{12}$/);
      const explained = await cli.run('explain', 'last/big');
      expect(explained.out).toContain('512');
      expect((await cli.run('cancel', 'last', '--reason', 'test')).code).toBe(0);
      expect((await cli.run('wait', 'last')).code).toBe(1);
      expect((await record()).state).toBe('cancelled');
    },
    8 * MINUTES,
  );

  it(
    'examines the machine, lists the peers and prints completions',
    async () => {
      const doctor = await cli.run('doctor', '--json');
      const checks = (JSON.parse(doctor.out) as { check: string }[]).map(({ check }) => check);
      for (const check of [
        'podman',
        'subordinate ids',
        'runtime directory',
        'storage driver',
        'linger',
        'nats-server',
      ]) {
        expect(checks).toContain(check);
      }
      const peers = JSON.parse(await cli.well('peers', '--json')) as {
        capacity: { cpus: number };
      }[];
      expect(peers.map((peer) => peer.capacity.cpus)).toEqual([2]);
      expect(await cli.well('completion', 'bash')).toContain('podmesh');
    },
    8 * MINUTES,
  );
});
