import { NAMES_PER_JOB_MAX } from '../words/limits.ts';
import type { JsonSchema } from './json-schema.ts';

const BYTES_PATTERN =
  '^[0-9]{1,15}(\\.[0-9]{1,6})? ?([KkMmGgTt]([Ii]?[Bb])?|[KkMmGgTt][Ii]|[Bb])?$';

const bytes = (title: string, what: string): JsonSchema => ({
  title,
  description: `${what}: a number of bytes, or text such as "512MiB" or "2G"; K, M, G and T are powers of 1024.`,
  type: ['number', 'string'],
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  pattern: BYTES_PATTERN,
});

/** The member `needs`: what a task asks of the machine that runs it. */
export const needsSchema: JsonSchema = {
  title: 'needs',
  description: 'What a task needs of the machine that runs it; a task waits until one has it free.',
  type: 'object',
  additionalProperties: false,
  properties: {
    cpus: {
      title: 'cores',
      description: 'Cores: a number such as 0.5 or 4, rounded up to quarters. Left out: 1.',
      type: ['number', 'string'],
      exclusiveMinimum: 0,
      maximum: 65_536,
      pattern: '^[0-9]{1,5}(\\.[0-9]{1,6})?$',
    },
    memory: bytes('memory', 'Memory (left out: 256 MiB)'),
    disk: bytes('disk', 'Free disk space (left out: none)'),
    gpus: {
      title: 'GPUs',
      description: 'How many GPUs: a whole number. Left out: 0.',
      type: 'integer',
      minimum: 0,
      maximum: 65_536,
    },
    arch: {
      title: 'architecture',
      description: 'The processor architecture, such as "amd64" or "arm64". Left out: any.',
      type: 'string',
      pattern: '^[A-Za-z0-9_]{1,32}$',
    },
    labels: {
      title: 'labels',
      description:
        'Labels that the machine must carry: a list such as ["zone=lab"], or a map such as {"zone": "lab"}.',
      type: ['array', 'object'],
      maxItems: NAMES_PER_JOB_MAX,
      maxProperties: NAMES_PER_JOB_MAX,
      items: {
        description: 'Write each label as "key=value", without control characters.',
        type: 'string',
        pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}=[^\\u0000-\\u001f]{0,128}$',
      },
      propertyNames: {
        description:
          'A label key starts with a letter or digit and goes on with these or . _ / -, 64 at most.',
        pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$',
      },
      additionalProperties: {
        description: 'Give the label a text, a number, true or false.',
        type: ['string', 'number', 'boolean'],
        pattern: '^[^\\u0000-\\u001f]{0,128}$',
      },
    },
  },
};
