import { FAILURE_KINDS } from '../run/failure-kind.ts';
import {
  ARRAY_ELEMENTS_MAX,
  ENV_PER_JOB_MAX,
  JOBS_PER_GRAPH_MAX,
  NAMES_PER_JOB_MAX,
  REPLICAS_DEFAULT,
  REPLICAS_MAX,
  RETRIES_MAX,
  TASK_TIMEOUT_MS_MAX,
} from '../words/limits.ts';
import {
  deliveredOutput,
  externalInput,
  jobSecretsSchema,
  secretsSchema,
  storesSchema,
} from './external-schema.ts';
import type { JsonSchema } from './json-schema.ts';
import { needsSchema } from './needs-schema.ts';
import { pythonJobSchema } from './python-job-schema.ts';
import { spawnSchema } from './spawn-schema.ts';
import { whenSchema } from './when-schema.ts';

const JOB_ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$';
const NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
const container: JsonSchema = {
  title: 'container',
  description:
    'The image to run: a reference such as "docker.io/library/debian:12", an image of the mesh such as ' +
    '"mesh/me/tool:1", an image digest ' +
    '"sha256:<64 hex digits>", or "jobs:<id>/<output>" for an image archive that another job builds.',
  type: 'string',
  minLength: 1,
  maxLength: 512,
  examples: ['docker.io/library/debian:12', 'mesh/me/tool:1', 'jobs:build/image'],
};

const command: JsonSchema = {
  title: 'command',
  description:
    'A list of words, program first, such as ["sh", "-c", "echo hello"]. ' +
    "Leave it out to run the image's own command.",
  type: 'array',
  minItems: 1,
  items: {
    description: 'One word of the command: text, in quotes, without NUL characters.',
    type: 'string',
    pattern: '^[^\\u0000]*$',
  },
};

const env: JsonSchema = {
  title: 'environment',
  description:
    'Environment variables: a map such as {"KEY": "value"}, or a list such as ["KEY=value"].',
  type: ['object', 'array'],
  maxProperties: ENV_PER_JOB_MAX,
  maxItems: ENV_PER_JOB_MAX,
  propertyNames: {
    description: 'A variable name is not empty and contains neither "=" nor NUL characters.',
    pattern: '^[^=\\u0000]+$',
  },
  additionalProperties: {
    description: 'Give the variable a text, a number, true or false; "" makes it empty.',
    type: ['string', 'number', 'boolean'],
    pattern: '^[^\\u0000]*$',
  },
  items: {
    description: 'Write each variable as "KEY=value"; "KEY=" makes it empty.',
    type: 'string',
    pattern: '^[^=\\u0000]+=[^\\u0000]*$',
  },
};

const net: JsonSchema = {
  title: 'network',
  description: 'Whether the container gets a network: true or false. Left out: false.',
  type: 'boolean',
};

const timeout: JsonSchema = {
  title: 'time limit',
  description:
    'Time limit of one attempt: a number of seconds, or text such as "90s", "10m" or "2h"; ' +
    '30 days at most. Left out: 24 hours.',
  type: ['number', 'string'],
  exclusiveMinimum: 0,
  maximum: TASK_TIMEOUT_MS_MAX / 1_000,
  pattern: '^[0-9]{1,9}(\\.[0-9]{1,3})? ?[smhd]?$',
};

const retries: JsonSchema = {
  title: 'retries',
  description:
    "How often an attempt that failed by the task's own doing is repeated: a whole number " +
    `from 0 to ${RETRIES_MAX}, or a table by failure kind such as {"exit": 2, "timeout": 1}. Left out: 0. ` +
    'What the mesh did wrong is repeated for free; "oom-task" up to 3 times, with twice the memory each.',
  type: ['integer', 'object'],
  minimum: 0,
  maximum: RETRIES_MAX,
  propertyNames: {
    description: `The failure kinds are ${FAILURE_KINDS.join(', ')}.`,
    enum: FAILURE_KINDS,
  },
  additionalProperties: {
    description: `Write how often it is repeated: a whole number from 0 to ${RETRIES_MAX}.`,
    type: 'integer',
    minimum: 0,
    maximum: RETRIES_MAX,
  },
};

const runtime: JsonSchema = {
  title: 'runtime',
  description:
    'How the container is run: "podman" through Podman\'s API, or "crun" in the fast lane. ' +
    'Left out: as each peer prefers.',
  enum: ['podman', 'crun'],
};

const cache: JsonSchema = {
  title: 'cache',
  description:
    'Whether an equal task of an earlier run may stand in for this one: true or false. ' +
    'Left out: true without a network, false with one.',
  type: 'boolean',
};

const replicas: JsonSchema = {
  title: 'replicas',
  description:
    `On how many peers the outputs are kept: a whole number from 1 to ${REPLICAS_MAX}. Left out: ` +
    `${REPLICAS_DEFAULT} of what no other job reads, 1 of the rest.`,
  type: 'integer',
  minimum: 1,
  maximum: REPLICAS_MAX,
};

const keep: JsonSchema = {
  title: 'keep',
  description:
    'Whether the outputs are kept after the run although other jobs read them: true or false. ' +
    'Left out: false. What no other job reads is kept anyway.',
  type: 'boolean',
};

const names: JsonSchema = {
  description:
    'A name starts with a letter or digit and goes on with letters, digits, ".", "_" or "-", 128 at most.',
  pattern: NAME_PATTERN,
};

const inputs: JsonSchema = {
  title: 'inputs',
  description:
    'What the task reads, under /in/<name>: a map such as {"table": "jobs:split/part"}; at most ' +
    `${NAMES_PER_JOB_MAX} of them. An empty list is read as empty.`,
  type: ['object', 'array'],
  maxItems: 0,
  maxProperties: NAMES_PER_JOB_MAX,
  propertyNames: names,
  additionalProperties: {
    description:
      'Write "sha256:<64 hex digits>", "jobs:<id>/<output>", "jobs:<id>:<index>/<output>" for one ' +
      'element of an array job, "jobs:<id>/*" for all outputs of all its elements, "file:<path>" relative to the ' +
      'document, "s3://bucket/key", "https://…", or {"from": "https://…", "digest": "sha256:…"}.',
    type: ['string', 'object'],
    pattern: '^(sha256|jobs|file|inputs|s3|https?|secret):',
    maxLength: 4_096,
    ...externalInput,
  },
};

const outputs: JsonSchema = {
  title: 'outputs',
  description:
    'What the task leaves behind: a map such as {"table": "file:/tmp/table.csv"}; at most ' +
    `${NAMES_PER_JOB_MAX} of them. An empty list is read as empty.`,
  type: ['object', 'array'],
  maxItems: 0,
  maxProperties: NAMES_PER_JOB_MAX,
  propertyNames: names,
  additionalProperties: {
    description:
      'Write "file:/path", "dir:/path", or "fd:N": 1 is standard output, 2 standard error, ' +
      '3 and up are opened for the task; or {"file": "/path", "to": "s3://bucket/key"} to deliver it, too ' +
      '({"dir": "/path", "to": "s3://bucket/prefix/"} for each file of a directory).',
    type: ['string', 'object'],
    pattern: '^(file|dir|fd):',
    maxLength: 4_096,
    ...deliveredOutput,
  },
};

const id: JsonSchema = {
  title: 'id',
  description:
    'The job\'s name in "jobs:<id>/<output>", in messages and in results: letters, digits, "_" and ' +
    '"-", 64 at most, starting with a letter or digit. Left out: job-<position>.',
  type: 'string',
  pattern: JOB_ID_PATTERN,
};

const after: JsonSchema = {
  title: 'after',
  description: `Ids of jobs that must succeed first although nothing is read of them; at most ${NAMES_PER_JOB_MAX}.`,
  type: 'array',
  maxItems: NAMES_PER_JOB_MAX,
  uniqueItems: true,
  items: {
    description: 'Write the id of another job alone, such as "prepare".',
    type: 'string',
    pattern: JOB_ID_PATTERN,
  },
};

const count: JsonSchema = {
  title: 'count',
  description:
    `Makes an array of so many like tasks, from 1 to ${ARRAY_ELEMENTS_MAX.toLocaleString('en')}; ` +
    'each finds its number, from 0, in PODMESH_INDEX. Left out: a single task.',
  type: 'integer',
  minimum: 1,
  maximum: ARRAY_ELEMENTS_MAX,
};

const graphFile: JsonSchema = {
  title: 'graph',
  description:
    'Instead of a container: another document, relative to this one, whose jobs take the place of this job as ' +
    '"<id>--<their id>". What "inputs" passes they read as "inputs:<name>"; what its "outputs" export others read as ' +
    '"jobs:<id>/<name>". Beside it only "id", "inputs" and "after".',
  type: 'string',
  minLength: 1,
  maxLength: 4_096,
};

const forEach: JsonSchema = {
  title: 'for each',
  description:
    'Makes one task for each element of what another job left: "jobs:<id>/<output>". Of a "dir:" output the entries, ' +
    'sorted by name; of a file the elements of its JSON array if it begins with "[", else its lines but for empty ones. ' +
    'Each finds its element at /in/item. To say how a file is read: {"over": "jobs:<id>/<output>", "as": "lines"} or "json".',
  type: ['string', 'object'],
  pattern: '^jobs:',
  maxLength: 4_096,
  additionalProperties: false,
  required: ['over', 'as'],
  properties: {
    over: {
      title: 'what is gone over',
      description: 'Write "jobs:<id>/<output>": the output of another job of the document.',
      type: 'string',
      pattern: '^jobs:',
      maxLength: 4_096,
    },
    as: {
      title: 'how it is read',
      description: 'Write "json" for the elements of a JSON array, "lines" for lines of text.',
      enum: ['json', 'lines'],
    },
  },
};

const shared = {
  container,
  command,
  env,
  net,
  needs: needsSchema,
  timeout,
  retries,
  runtime,
  cache,
  replicas,
  keep,
};

const job: JsonSchema = {
  title: 'job',
  description: 'One container to run, or an array of them; what it reads of others sets the order.',
  type: 'object',
  additionalProperties: false,
  properties: {
    id,
    job: pythonJobSchema,
    ...shared,
    inputs,
    outputs,
    secrets: jobSecretsSchema,
    after,
    count,
    forEach,
    graph: graphFile,
    when: whenSchema,
    spawn: spawnSchema,
  },
};

const defaults: JsonSchema = {
  title: 'defaults',
  description:
    'What jobs take when they do not say it themselves. Environment variables and needs are ' +
    'merged member by member; the job wins.',
  type: 'object',
  additionalProperties: false,
  properties: shared,
};

/** The published schema of a podmesh document, draft 2020-12. Its descriptions double as advice. */
export const graphSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'urn:podmesh:graph:1',
  title: 'podmesh graph',
  description: 'A map with "version": 1 and a list of "jobs".',
  type: 'object',
  additionalProperties: false,
  required: ['version', 'jobs'],
  properties: {
    $schema: { title: 'schema', description: 'Where editors find this schema.', type: 'string' },
    version: { title: 'version', description: 'The version of this format: 1.', const: 1 },
    name: {
      title: 'name',
      description: 'What people call the run: one line of text, 128 characters at most.',
      type: 'string',
      minLength: 1,
      maxLength: 128,
      pattern: '^[^\\u0000-\\u001f]*$',
    },
    secrets: secretsSchema,
    stores: storesSchema,
    defaults: { $ref: '#/$defs/defaults' },
    outputs: {
      title: 'exported outputs',
      description:
        'What other documents may read when a job of theirs is this graph: a map such as {"table": "jobs:join/table"}.',
      type: 'object',
      maxProperties: NAMES_PER_JOB_MAX,
      propertyNames: names,
      additionalProperties: {
        description: 'Write "jobs:<id>/<output>" of a job of this document.',
        type: 'string',
        pattern: '^jobs:',
        maxLength: 4_096,
      },
    },
    jobs: {
      title: 'jobs',
      description: `The list of jobs, from 1 to ${JOBS_PER_GRAPH_MAX.toLocaleString('en')} of them.`,
      type: 'array',
      minItems: 1,
      maxItems: JOBS_PER_GRAPH_MAX,
      items: { $ref: '#/$defs/job' },
    },
  },
  $defs: { defaults, job },
} as const satisfies JsonSchema;
