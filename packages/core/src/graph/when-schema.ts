import type { JsonSchema } from './json-schema.ts';

const code: JsonSchema = {
  description: 'An exit code is a whole number from 0 to 255.',
  type: 'integer',
  minimum: 0,
  maximum: 255,
};

/** Whether a job runs at all. */
export const whenSchema: JsonSchema = {
  title: 'condition',
  description:
    'Runs the job only if another one says so: {"job": "<id>", "exit": 1} by its exit code (a number or a list; that it ' +
    'failed so does then not fail the run), or {"output": "jobs:<id>/<output>", "equals": "yes"} or "contains" by the text ' +
    'it left. With "not": true the other way round. Otherwise the job is skipped as not needed, with all that read of it.',
  type: 'object',
  additionalProperties: false,
  properties: {
    job: {
      title: 'whose exit',
      description: 'Write the id of another job, which is a single task.',
      type: 'string',
      pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$',
    },
    exit: {
      title: 'exit code',
      description: 'Write an exit code, or a list of some.',
      anyOf: [code, { type: 'array', minItems: 1, maxItems: 256, items: code }],
    },
    output: {
      title: 'whose text',
      description: 'Write "jobs:<id>/<output>": a file of another job, 1 MiB at most.',
      type: 'string',
      pattern: '^jobs:',
      maxLength: 4_096,
    },
    equals: {
      title: 'equal text',
      description: 'Write the whole text, without the end of its last line.',
      type: 'string',
      maxLength: 4_096,
    },
    contains: {
      title: 'contained text',
      description: 'Write a text that is somewhere in it.',
      type: 'string',
      minLength: 1,
      maxLength: 4_096,
    },
    not: {
      title: 'the other way round',
      description: 'Write true to run the job where the rest is not so.',
      type: 'boolean',
    },
  },
};
