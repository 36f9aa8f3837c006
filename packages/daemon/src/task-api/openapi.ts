import { TASK_API_ERROR_CODES } from './task-api-error.ts';

/** What tasks may ask of their peer, as OpenAPI 3.1. A test compares it with the routes and with what they answer. */
export const taskApiDocument = {
  openapi: '3.1.0',
  info: {
    title: 'podmesh task API',
    version: '1',
    description:
      'Answered at /run/podmesh.sock in every container, with or without a network: ' +
      'curl --unix-socket /run/podmesh.sock http://podmesh/v1/me',
  },
  paths: {
    '/v1/openapi.json': {
      get: { summary: 'This document.', responses: { 200: body({ type: 'object' }) } },
    },
    '/v1/me': {
      get: { summary: 'Who am I?', responses: { 200: body(ref('Me')), default: failure() } },
    },
    '/v1/capacity': {
      get: {
        summary: 'What the mesh has, and what of it is free: the sum over the peers that claim.',
        responses: { 200: body(ref('MeshCapacity')), default: failure() },
      },
    },
    '/v1/progress': {
      post: {
        summary: 'Says how far this task is. Best effort: nobody waits for it.',
        requestBody: given(ref('Progress')),
        responses: { 204: { description: 'noted' }, default: failure() },
      },
    },
    '/v1/metrics': {
      post: {
        summary: 'Last values by name. Best effort.',
        requestBody: given(ref('Metrics')),
        responses: { 204: { description: 'noted' }, default: failure() },
      },
    },
    '/v1/artifacts': {
      put: {
        summary: 'Stores the body; the answer names it.',
        requestBody: bytes(),
        responses: { 201: body(ref('Artifact')), default: failure() },
      },
    },
    '/v1/artifacts/{digest}': {
      parameters: [
        parameter('digest', 'path', { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' }),
      ],
      put: {
        summary: 'Stores the body, unless it is something else than the digest says.',
        requestBody: bytes(),
        responses: { 201: body(ref('Artifact')), default: failure() },
      },
      get: {
        summary:
          'The bytes; of a directory its listing as JSON. The header podmesh-artifact-kind says which. Takes one Range.',
        responses: {
          200: { description: 'all of it', content: { 'application/octet-stream': {} } },
          206: { description: 'a part', content: { 'application/octet-stream': {} } },
          default: failure(),
        },
      },
    },
  },
  components: {
    schemas: {
      Me: closed({
        run: { type: 'string' },
        task: { type: 'string' },
        attempt: { type: 'integer', minimum: 1 },
        peer: { type: 'string' },
        net: { type: 'boolean' },
        timeoutMs: { type: 'number', description: 'Waiting for sub-tasks counts.' },
        needs: closed({ cpus: { type: 'number' }, memoryBytes: { type: 'number' } }),
      }),
      Capacity: closed({
        cpus: { type: 'number' },
        memoryBytes: { type: 'number' },
        diskBytes: { type: 'number' },
        gpus: { type: 'number' },
      }),
      MeshCapacity: closed({
        peers: { type: 'integer' },
        capacity: ref('Capacity'),
        free: ref('Capacity'),
      }),
      Progress: {
        type: 'object',
        properties: {
          fraction: { type: 'number', minimum: 0, maximum: 1 },
          message: { type: 'string' },
        },
        minProperties: 1,
        additionalProperties: false,
      },
      Metrics: { type: 'object', additionalProperties: { type: 'number' } },
      Artifact: closed({
        digest: { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' },
        kind: { enum: ['file', 'dir'] },
        bytes: { type: 'integer', minimum: 0 },
      }),
      Error: closed({
        error: closed({ code: { enum: TASK_API_ERROR_CODES }, message: { type: 'string' } }),
      }),
    },
  },
};

function ref(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}

/** An object that has all of these members and no other. */
function closed(properties: Readonly<Record<string, object>>): object {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

function body(schema: object): object {
  return { description: 'done', content: { 'application/json': { schema } } };
}

function given(schema: object): object {
  return { required: true, content: { 'application/json': { schema } } };
}

function bytes(): object {
  return { required: true, content: { 'application/octet-stream': {} } };
}

function failure(): object {
  return { description: 'refused', content: { 'application/json': { schema: ref('Error') } } };
}

function parameter(name: string, where: 'path' | 'query', schema: object): object {
  return { name, in: where, required: where === 'path', schema };
}
