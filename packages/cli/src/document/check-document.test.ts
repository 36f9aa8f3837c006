import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GraphProblem } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { CliError } from '../cli-error.ts';
import { FakeWorld, temporaryDirectory } from '../fake-world.test-kit.ts';
import { digestOf, graphOf } from '../sample-run.test-kit.ts';
import { checkDocument } from './check-document.ts';
import { checkArtifacts, uploadInputs } from './upload-inputs.ts';

async function problemsOf(checking: Promise<unknown>): Promise<readonly GraphProblem[]> {
  try {
    await checking;
  } catch (error) {
    if (error instanceof CliError) return error.problems;
    throw error;
  }
  return [];
}

const job = (inputs: object) => ({ id: 'a', container: 'localhost/a:1', inputs });

describe('checkDocument', () => {
  it('lists missing files together with what else is wrong, each with its place', async () => {
    const directory = temporaryDirectory();
    const document = {
      version: 1,
      jobs: [
        job({ here: 'file:there', 'odd.name': 'file:sub/gone' }),
        { container: 'localhost/a:1', inputs: { x: 'jobs:nobody/out', y: 'file:there' } },
      ],
    };
    const problems = await problemsOf(checkDocument({ document, directory }));
    expect(problems.map(({ path }) => path)).toEqual([
      'jobs[1].inputs.x',
      'jobs[0].inputs.here',
      'jobs[0].inputs["odd.name"]',
      'jobs[1].inputs.y',
    ]);
    expect(problems[1]?.problem).toBe(`there is no ${join(directory, 'there')}`);
  });

  it('lists what would be refused later: links out of a directory, secrets for pip', async () => {
    const directory = temporaryDirectory();
    await mkdir(join(directory, 'data/sub'), { recursive: true });
    await symlink('/etc', join(directory, 'data/sub/out'));
    await symlink('../../other', join(directory, 'data/sub/up'));
    await symlink('nobody', join(directory, 'broken'));
    await mkdir(join(directory, 'code'));
    await writeFile(join(directory, 'code/main.py'), '');
    await writeFile(join(directory, 'requirements.txt'), 'a\n-i https://me:hunter2@pypi.example\n');
    const document = {
      version: 1,
      jobs: [
        job({ d: 'file:data', gone: 'file:broken' }),
        { job: { python: 'code', requirements: 'requirements.txt' }, needs: { cpus: 'x' } },
      ],
    };
    const problems = await problemsOf(checkDocument({ document, directory }));
    expect(problems.map(({ path, problem }) => [path, problem])).toEqual([
      ['jobs[1].needs.cpus', expect.anything()],
      ['jobs[0].inputs.d', expect.stringContaining('sub/out, a link to /etc')],
      ['jobs[0].inputs.d', expect.stringContaining('sub/up, a link to ../../other')],
      ['jobs[0].inputs.gone', expect.stringContaining('there is no')],
      ['jobs[1].job.requirements', expect.stringContaining('line 2 of')],
    ]);
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  });

  it('accepts files and directories, and finds them beside the document', async () => {
    const directory = temporaryDirectory();
    await mkdir(join(directory, 'dir'));
    await writeFile(join(directory, 'file'), '');
    const document = { version: 1, jobs: [job({ d: 'file:dir', f: 'file:./file' })] };
    expect((await checkDocument({ document, directory })).jobs).toHaveLength(1);
  });

  it('refuses what has no bytes to upload', async () => {
    const document = { version: 1, jobs: [job({ d: 'file:null' })] };
    const [problem] = await problemsOf(checkDocument({ document, directory: '/dev' }));
    expect(problem?.problem).toContain('neither a file nor a directory');
  });

  it.runIf(process.getuid?.() !== 0)('refuses a file that it may not read', async () => {
    const directory = temporaryDirectory();
    await writeFile(join(directory, 'secret'), '');
    await chmod(join(directory, 'secret'), 0);
    const document = { version: 1, jobs: [job({ d: 'file:secret' })] };
    const [problem] = await problemsOf(checkDocument({ document, directory }));
    expect(problem?.problem).toContain('cannot be read');
  });

  it('survives documents of any shape', async () => {
    for (const document of [null, 3, 'x', [], {}, { jobs: {} }, { jobs: [null, { inputs: 3 }] }]) {
      expect(await problemsOf(checkDocument({ document, directory: '/' }))).not.toEqual([]);
    }
  });
});

describe('uploadInputs', () => {
  it('stores each path once and puts artifacts in the place of files', async () => {
    const { directory, mesh, ...world } = new FakeWorld();
    await writeFile(join(directory, 'one'), 'one');
    const graph = graphOf([
      { id: 'a', inputs: { x: 'file:one' } },
      { id: 'b', inputs: { x: 'file:one', y: `${digestOf('two')}` } },
    ]);
    const uploaded = await uploadInputs(graph, directory, world.others.artifacts);
    const one = { kind: 'artifact', artifact: digestOf('one') };
    expect(uploaded.jobs.map(({ inputs }) => inputs)).toEqual([
      { x: one },
      { x: one, y: { kind: 'artifact', artifact: digestOf('two') } },
    ]);
    expect([...mesh.artifacts.keys()]).toEqual([digestOf('one')]);
  });

  it('refuses artifacts that the mesh does not have, each with its place', async () => {
    const { others } = new FakeWorld();
    const graph = graphOf([{ id: 'a', inputs: { x: digestOf('x'), none: digestOf('') } }]);
    const problems = await problemsOf(checkArtifacts(graph, others.artifacts));
    expect(problems.map(({ path }) => path)).toEqual(['jobs[0].inputs.x']);
    expect(problems[0]?.advice).toContain('podmesh put');
  });
});
