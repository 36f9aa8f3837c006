import type { CommandShape, OperandShape } from './command-shape.ts';

const RUN_OPERAND: OperandShape = { name: 'RUN', kind: 'run' };
const RUN_OR_TASK: OperandShape = { name: 'RUN[/TASK]', kind: 'run' };
const NAMING =
  'RUN is an id, the beginning of one, or "last". TASK is a job, or job:INDEX of an array job.';

/** The commands that are about runs and artifacts, on whatever machine. */
export const PS: CommandShape = {
  name: 'ps',
  summary: 'list runs',
  operands: [],
  options: { all: { kind: 'flag', short: 'a', help: 'all of them, not the newest 20' } },
  details: [],
  examples: ['podmesh ps', 'podmesh ps --json'],
};

export const SHOW: CommandShape = {
  name: 'show',
  summary: 'show a run and its tasks',
  operands: [RUN_OPERAND],
  options: { all: { kind: 'flag', short: 'a', help: 'all tasks, not the first 200' } },
  details: [NAMING, 'With --json: the result record.'],
  examples: ['podmesh show last', 'podmesh show last --json'],
};

export const LOGS: CommandShape = {
  name: 'logs',
  summary: 'print what tasks wrote',
  operands: [RUN_OR_TASK],
  options: {
    follow: { kind: 'flag', short: 'f', help: 'go on until the run (or the task) has ended' },
    attempt: { kind: 'text', value: 'N', help: 'of one task: of this attempt instead of the last' },
  },
  details: [
    NAMING,
    'Of one task: its whole log. Of a run: the end of the log of each task, lines marked with the task.',
  ],
  examples: ['podmesh logs last/j2', 'podmesh logs last -f'],
};

export const WAIT: CommandShape = {
  name: 'wait',
  summary: 'wait for the end of a run',
  operands: [RUN_OPERAND],
  options: {},
  details: [
    NAMING,
    'Exits like "podmesh run": also when nothing can go on before a person releases a held task (4).',
    'With --json: the result record, once it has ended or waits for a person.',
  ],
  examples: ['podmesh wait last'],
};

export const CANCEL: CommandShape = {
  name: 'cancel',
  summary: 'stop a run',
  operands: [RUN_OPERAND],
  options: { reason: { kind: 'text', value: 'TEXT', help: 'why; kept with the run' } },
  details: [NAMING, 'Tasks that run are stopped, those that wait never start.'],
  examples: ['podmesh cancel last --reason "wrong input"'],
};

export const RELEASE: CommandShape = {
  name: 'release',
  summary: 'let held tasks be tried again',
  operands: [RUN_OPERAND, { name: 'TASK', kind: 'run', optional: true, repeated: true }],
  options: {},
  details: [
    NAMING,
    'A task that took down two different peers is held, for it may take down the next one as well. Look at',
    'what it wrote ("podmesh explain", "podmesh logs") before you release it. Without TASK: all held tasks.',
    'What happened before does not count any more. To give up instead: podmesh cancel RUN.',
  ],
  examples: ['podmesh release last j2', 'podmesh release last'],
};

export const GET: CommandShape = {
  name: 'get',
  summary: 'fetch an output',
  operands: [{ name: 'RUN/JOB/OUTPUT', kind: 'run' }],
  options: {
    output: {
      kind: 'text',
      short: 'o',
      value: 'PATH',
      help: 'where to put it; - is standard output (default: named like the output, here)',
    },
    force: { kind: 'flag', help: 'replace what is there' },
  },
  details: [
    NAMING,
    'JOB:INDEX names one element of an array job; without INDEX all of them come as a directory, in order.',
    'An artifact can also be named by itself: sha256:DIGEST. An existing directory as PATH is put into.',
    'Large files come straight from all peers that have them, through the server from those that are not reached. What was',
    'there when it was ended stays in .podmesh-download beside PATH, and the next try goes on with it.',
  ],
  examples: [
    'podmesh get last/j2/out1',
    'podmesh get last/j2:3/out1 -o - | less',
    'podmesh get sha256:… -o data.csv',
  ],
};

export const PUT: CommandShape = {
  name: 'put',
  summary: 'store a file or directory in the mesh and print its digest',
  operands: [{ name: 'PATH', kind: 'file' }],
  options: {},
  details: ['The digest can be an input of a job: "inputs": {"in1": "sha256:…"}.'],
  examples: ['podmesh put data.csv'],
};

export const EXPLAIN: CommandShape = {
  name: 'explain',
  summary: 'say why something waits, or what happened',
  operands: [RUN_OR_TASK],
  options: {},
  details: [NAMING],
  examples: ['podmesh explain last', 'podmesh explain last/j2'],
};
