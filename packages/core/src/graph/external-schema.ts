import { SECRETS_PER_GRAPH_MAX } from '../words/limits.ts';
import type { JsonSchema } from './json-schema.ts';

const NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
const VARIABLE_PATTERN = '^[A-Za-z_][A-Za-z0-9_]{0,127}$';

const secretName = (what: string): JsonSchema => ({
  description: `${what}: the name of one of "secrets", never the value itself.`,
  type: 'string',
  pattern: NAME_PATTERN,
});

const env: JsonSchema = {
  description: 'The name of an environment variable.',
  type: 'string',
  pattern: VARIABLE_PATTERN,
};

/** The document's `secrets`: names, and where the values come from. */
export const secretsSchema: JsonSchema = {
  title: 'secrets',
  description:
    'Where secret values come from, by name: a map such as {"token": {"env": "API_TOKEN"}}; at most ' +
    `${SECRETS_PER_GRAPH_MAX} of them. Values stand in no document, log or record.`,
  type: 'object',
  maxProperties: SECRETS_PER_GRAPH_MAX,
  propertyNames: {
    description:
      'A name starts with a letter or digit and goes on with letters, digits, ".", "_" or "-", 128 at most.',
    pattern: NAME_PATTERN,
  },
  additionalProperties: {
    description:
      'Write {"env": "NAME"} or {"file": "path"} for a value of who publishes, or {"peer": {"env": "NAME"}} or ' +
      '{"peer": {"file": "name"}} for one of each peer: its variable PODMESH_SECRET_NAME, its file secrets/name.',
    type: 'object',
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
    properties: {
      env,
      file: {
        description: 'The path of a file of who publishes, relative to the document.',
        type: 'string',
        minLength: 1,
        maxLength: 4_096,
        pattern: '^[^\\u0000]+$',
      },
      peer: {
        description:
          'Write {"env": "NAME"} for the variable PODMESH_SECRET_NAME of a peer\'s daemon, or {"file": "name"} for ' +
          'a file in the directory "secrets" of its home.',
        type: 'object',
        additionalProperties: false,
        minProperties: 1,
        maxProperties: 1,
        properties: {
          env,
          file: {
            description: 'The name of a file in the directory "secrets" of the peer\'s home.',
            type: 'string',
            pattern: NAME_PATTERN,
          },
        },
      },
    },
  },
};

const endpoint: JsonSchema = {
  description: 'Where the store answers, such as "https://minio.example.org:9000".',
  type: 'string',
  pattern: '^https?://[^\\s/?#@]+/?$',
};

/** The document's `stores`: how to reach what begins with an address. */
export const storesSchema: JsonSchema = {
  title: 'stores',
  description:
    'How stores are reached, by the beginning of their addresses: a map such as {"s3://bucket": {"endpoint": ' +
    '"https://minio.example.org:9000", "accessKeyId": "id", "secretAccessKey": "key"}}. The longest beginning counts.',
  type: 'object',
  maxProperties: SECRETS_PER_GRAPH_MAX,
  propertyNames: {
    description:
      'Write the beginning of addresses, such as "s3://bucket" or "https://data.example.org".',
    pattern: '^(s3|https?)://[^\\s?#@]+$',
  },
  additionalProperties: {
    description:
      'A map of endpoint, region, accessKeyId, secretAccessKey, sessionToken, authorization.',
    type: 'object',
    additionalProperties: false,
    properties: {
      endpoint,
      region: {
        description: 'The region, such as "eu-central-1".',
        type: 'string',
        pattern: NAME_PATTERN,
      },
      accessKeyId: secretName('The id of an access key of S3'),
      secretAccessKey: secretName('The secret access key of S3'),
      sessionToken: secretName('The session token of temporary credentials of S3'),
      authorization: secretName(
        'The header "Authorization" of HTTPS as a whole, such as "Bearer …"',
      ),
    },
  },
};

/** A job's `secrets`: what the task sees of them. */
export const jobSecretsSchema: JsonSchema = {
  title: 'secrets of the job',
  description:
    'Secrets that the task sees: a map such as {"TOKEN": "token"} for the environment variable TOKEN, or ' +
    '{"key.pem": {"file": "key"}} for the file /run/secrets/key.pem; at most ' +
    `${SECRETS_PER_GRAPH_MAX} of them.`,
  type: 'object',
  maxProperties: SECRETS_PER_GRAPH_MAX,
  propertyNames: {
    description:
      'A name starts with a letter, a digit or "_" and goes on with letters, digits, ".", "_" or "-", 128 at most.',
    pattern: '^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$',
  },
  additionalProperties: {
    description: 'Write the name of a secret for a variable, or {"file": "<name>"} for a file.',
    type: ['string', 'object'],
    pattern: NAME_PATTERN,
    additionalProperties: false,
    required: ['file'],
    properties: { file: secretName('The content of the file') },
  },
};

const ADDRESS =
  'Write "s3://bucket/key", "https://…", or "secret:<name>" for a URL that is a secret, as presigned ones are.';

/** What an input may be besides text. */
export const externalInput = {
  additionalProperties: false,
  required: ['from'],
  properties: {
    from: {
      description: ADDRESS,
      type: 'string',
      pattern: '^(s3|https?|secret):',
      maxLength: 4_096,
    },
    digest: {
      description: 'Write "sha256:" and 64 lower-case hex digits: other bytes are refused.',
      type: 'string',
      pattern: '^sha256:[0-9a-f]{64}$',
    },
  },
} as const satisfies JsonSchema;

/** What an output may be besides text. */
export const deliveredOutput = {
  additionalProperties: false,
  // One of "file", "dir" and "fd" besides "to".
  minProperties: 2,
  maxProperties: 2,
  required: ['to'],
  properties: {
    file: {
      description: 'The absolute path of a file in the container, such as "/tmp/table.csv".',
      type: 'string',
      maxLength: 4_096,
    },
    dir: {
      description:
        'The absolute path of a directory in the container. Each file in it becomes an object, so "to" has to be a ' +
        'prefix of S3, such as "s3://bucket/prefix/".',
      type: 'string',
      maxLength: 4_096,
    },
    fd: {
      description: 'A descriptor: 1 is standard output.',
      type: 'integer',
      minimum: 0,
      maximum: 63,
    },
    to: { description: ADDRESS, type: 'string', pattern: '^(s3|https?|secret):', maxLength: 4_096 },
  },
} as const satisfies JsonSchema;
