import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { COMMAND_BYTES_MAX } from '../words/limits.ts';
import { parseGraph } from './parse-graph.ts';
import type { GraphProblem } from './problem-list.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const DIGEST = `sha256:${'a1'.repeat(32)}`;
const IMAGE = 'docker.io/library/debian:12';

function problemsOf(document: unknown): readonly GraphProblem[] {
  const parsed = parseGraph(document, sha256);
  return parsed.ok ? [] : parsed.error;
}

const jobsOf = (...jobs: unknown[]) => ({ version: 1, defaults: { container: IMAGE }, jobs });

describe('what is refused', () => {
  const long = 'x'.repeat(COMMAND_BYTES_MAX);
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, 'fd:1']));
  const producer = { id: 'p', count: 2, outputs: { o: 'fd:1', d: 'dir:/d', f: 'file:/f' } };

  test.each<[string, unknown, string, RegExp]>([
    ['no map', [], '(document)', /a document is a map, not a list/],
    ['another version', { version: 2, jobz: 1 }, 'version', /version is 2/],
    ['no version', { jobs: [{ container: IMAGE }] }, '(document)', /"version" is missing/],
    ['no jobs', { version: 1 }, '(document)', /"jobs" is missing/],
    ['an empty list of jobs', jobsOf(), 'jobs', /empty/],
    ['an unknown member', jobsOf({ comand: ['a'] }), 'jobs[0].comand', /Did you mean "command"/],
    ['a member that is no name', jobsOf({ 'a b': 1 }), 'jobs[0]["a b"]', /not known/],
    ['a job that is no map', jobsOf('a'), 'jobs[0]', /must be a map, not "a"/],
    ['a bad id', jobsOf({ id: 'a b' }), 'jobs[0].id', /letters, digits/],
    [
      'an id that comes twice',
      jobsOf({ id: 'a' }, { id: 'a' }),
      'jobs[1].id',
      /taken by jobs\[0\]/,
    ],
    ['no container', { version: 1, jobs: [{}] }, 'jobs[0]', /"container" is missing/],
    ['a bad image', jobsOf({ container: 'Debian:12' }), 'jobs[0].container', /lower case/],
    ['a transport', jobsOf({ container: 'docker://a' }), 'jobs[0].container', /Leave out "docker:/],
    [
      'a short digest',
      jobsOf({ container: 'sha256:12' }),
      'jobs[0].container',
      /64 lower-case hex/,
    ],
    ['a command in one text', jobsOf({ command: 'ls' }), 'jobs[0].command', /a list, not "ls"/],
    ['an empty program', jobsOf({ command: [''] }), 'jobs[0].command[0]', /empty word/],
    ['a long command', jobsOf({ command: [long] }), 'jobs[0].command', /131,073 bytes/],
    ['a variable without value', jobsOf({ env: ['A'] }), 'jobs[0].env[0]', /"KEY="/],
    ['a variable of null', jobsOf({ env: { A: null } }), 'jobs[0].env.A', /not null/],
    ['a nameless variable', jobsOf({ env: { '': 1 } }), 'jobs[0].env[""]', /cannot be a name/],
    ['a variable set twice', jobsOf({ env: ['A=1', 'A=2'] }), 'jobs[0].env[1]', /item 0/],
    ['a reserved variable', jobsOf({ env: { PODMESH_X: 1 } }), 'jobs[0].env.PODMESH_X', /reserved/],
    ['long variables', jobsOf({ env: { A: long } }), 'jobs[0].env', /131,075 bytes/],
    ['a wide map', jobsOf({ env: many(2_000) }), 'jobs[0].env', /too many to look at/],
    ['many outputs', jobsOf({ outputs: many(300) }), 'jobs[0].outputs', /at most 256/],
    ['inputs as a list', jobsOf({ inputs: ['a'] }), 'jobs[0].inputs', /must be a map/],
    [
      'an unknown kind of input',
      jobsOf({ inputs: { a: '/x' } }),
      'jobs[0].inputs.a',
      /"file:<path>"/,
    ],
    [
      'a bad name of an input',
      jobsOf({ inputs: { '.a': DIGEST } }),
      'jobs[0].inputs[".a"]',
      /letter or digit/,
    ],
    ['an empty file', jobsOf({ inputs: { a: 'file:' } }), 'jobs[0].inputs.a', /empty/],
    ['an absolute file', jobsOf({ inputs: { a: 'file:/x' } }), 'jobs[0].inputs.a', /absolute/],
    [
      'half a reference',
      jobsOf({ inputs: { a: 'jobs:x' } }),
      'jobs[0].inputs.a',
      /"jobs:<id>\/<output>"/,
    ],
    [
      'an unknown job',
      jobsOf(producer, { inputs: { a: 'jobs:P/o' } }),
      'jobs[1].inputs.a',
      /Did you mean "p"/,
    ],
    [
      'an unknown output',
      jobsOf(producer, { inputs: { a: 'jobs:p/oo' } }),
      'jobs[1].inputs.a',
      /Did you mean "o"\? It has: o, d, f\./,
    ],
    [
      'an output of none',
      jobsOf({ id: 'x' }, { inputs: { a: 'jobs:x/o' } }),
      'jobs[1].inputs.a',
      /declares none/,
    ],
    [
      'an unknown element',
      jobsOf(producer, { inputs: { a: 'jobs:p:2/o' } }),
      'jobs[1].inputs.a',
      /from 0 to 1/,
    ],
    [
      'an element of a single task',
      jobsOf({ id: 'x', outputs: { o: 'fd:1' } }, { inputs: { a: 'jobs:x:0/o' } }),
      'jobs[1].inputs.a',
      /single task/,
    ],
    [
      'a job that reads itself',
      jobsOf({ id: 'x', outputs: { o: 'fd:1' }, inputs: { a: 'jobs:x/o' } }),
      'jobs[0].inputs.a',
      /refers to itself/,
    ],
    ['an unknown job to wait for', jobsOf({ after: ['x'] }), 'jobs[0].after[0]', /no job "x"/],
    [
      'waiting twice',
      jobsOf({ id: 'x' }, { after: ['x', 'x'] }),
      'jobs[1].after',
      /0 and 1 are the same/,
    ],
    [
      'a directory as image',
      jobsOf(producer, { container: 'jobs:p:0/d' }),
      'jobs[1].container',
      /must be an archive/,
    ],
    [
      'an image of an array',
      jobsOf(producer, { container: 'jobs:p/f' }),
      'jobs[1].container',
      /none of them is chosen/,
    ],
    [
      'an unknown kind of output',
      jobsOf({ outputs: { a: '/x' } }),
      'jobs[0].outputs.a',
      /"dir:\/path"/,
    ],
    [
      'a relative output',
      jobsOf({ outputs: { a: 'file:x' } }),
      'jobs[0].outputs.a',
      /not absolute/,
    ],
    [
      'an output that goes up',
      jobsOf({ outputs: { a: 'dir:/a/../b' } }),
      'jobs[0].outputs.a',
      /goes up/,
    ],
    [
      'the root as output',
      jobsOf({ outputs: { a: 'dir:/./' } }),
      'jobs[0].outputs.a',
      /root directory/,
    ],
    [
      'a file that is a directory',
      jobsOf({ outputs: { a: 'file:/a/' } }),
      'jobs[0].outputs.a',
      /"dir:"/,
    ],
    [
      'a reserved place',
      jobsOf({ outputs: { a: 'file://dev//null' } }),
      'jobs[0].outputs.a',
      /\/dev is kept/,
    ],
    [
      'the socket',
      jobsOf({ outputs: { a: 'file:/run/podmesh.sock' } }),
      'jobs[0].outputs.a',
      /kept/,
    ],
    ['a high descriptor', jobsOf({ outputs: { a: 'fd:64' } }), 'jobs[0].outputs.a', /up to 63/],
    [
      'one descriptor twice',
      jobsOf({ outputs: { a: 'fd:0', b: 'fd:1' } }),
      'jobs[0].outputs.b',
      /descriptor 1 is already the output "a"/,
    ],
    [
      'one path twice',
      jobsOf({ outputs: { a: 'file:/x', b: 'dir:/x/' } }),
      'jobs[0].outputs.b',
      /\/x is already/,
    ],
    [
      'a bad amount of memory',
      jobsOf({ needs: { memory: '2 apples' } }),
      'jobs[0].needs.memory',
      /"512MiB"/,
    ],
    [
      'more memory than there is',
      jobsOf({ needs: { memory: '999999T' } }),
      'jobs[0].needs.memory',
      /any machine/,
    ],
    ['no cores', jobsOf({ needs: { cpus: '0' } }), 'jobs[0].needs.cpus', /above 0/],
    ['negative cores', jobsOf({ needs: { cpus: -1 } }), 'jobs[0].needs.cpus', /must be > 0/],
    ['an unknown need', jobsOf({ needs: { cpu: 1 } }), 'jobs[0].needs.cpu', /Did you mean "cpus"/],
    [
      'a label without value',
      jobsOf({ needs: { labels: ['a'] } }),
      'jobs[0].needs.labels[0]',
      /"key=value"/,
    ],
    ['a bad time limit', jobsOf({ timeout: 'soon' }), 'jobs[0].timeout', /"90s"/],
    ['a long time limit', jobsOf({ timeout: '31d' }), 'jobs[0].timeout', /at most "30d"/],
    ['retries of nothing', jobsOf({ retries: { crash: 1 } }), 'jobs[0].retries.crash', /cannot be/],
    ['retries in words', jobsOf({ retries: { exit: 'x' } }), 'jobs[0].retries.exit', /must be/],
    ['another runtime', jobsOf({ runtime: 'docker' }), 'jobs[0].runtime', /must be/],
    ['many retries', jobsOf({ retries: 21 }), 'jobs[0].retries', /must be <= 20/],
    ['an empty array', jobsOf({ count: 0 }), 'jobs[0].count', /must be >= 1/],
    [
      'many tasks',
      jobsOf(...Array.from({ length: 11 }, () => ({ count: 100_000 }))),
      'jobs',
      /1,100,000 tasks/,
    ],
    [
      'a bad default',
      { version: 1, defaults: { net: 'no' }, jobs: [{}] },
      'defaults.net',
      /true or false/,
    ],
    [
      'a default that jobs have alone',
      { version: 1, defaults: { id: 'x' }, jobs: [{}] },
      'defaults.id',
      /not known/,
    ],
  ])('%s', (_, document, path, words) => {
    const problems = problemsOf(document);
    expect(problems.map((problem) => problem.path)).toEqual([path]);
    expect(`${problems[0]?.problem}. ${problems[0]?.advice}`).toMatch(words);
  });

  test('a wrong inherited container is reported once', () => {
    const document = { version: 1, defaults: { container: 'jobs:x/o' }, jobs: [{}, {}, {}] };
    expect(problemsOf(document).map((problem) => problem.path)).toEqual(['defaults.container']);
  });
});
