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
    '/v1/tasks': {
      post: {
        summary:
          'Spawns sub-tasks: jobs as in a graph, in the image of this task unless they name another. What is there under ' +
          'the same key already, also from an earlier attempt, is answered and not spawned again; without a key, equal ' +
          'jobs have the same one.',
        requestBody: given(ref('SpawnOrder')),
        responses: { 201: body(ref('Spawned')), default: failure() },
      },
      get: {
        summary: 'All that this task spawned itself.',
        parameters: [
          parameter('wait', 'query', {
            type: 'string',
            description: 'such as 30s; five minutes at most',
          }),
          parameter('settled', 'query', {
            type: 'integer',
            minimum: 0,
            description: 'wait until more than so many are settled, or all are',
          }),
        ],
        responses: { 200: body(ref('SubTasks')), default: failure() },
      },
    },
    '/v1/tasks/{id}': {
      get: {
        summary:
          'A sub-task, or one of its sub-tasks. With "wait" not before it is settled or the time is up; meanwhile the ' +
          'cores of this task are for others. Waiting counts against its time limit.',
        parameters: [
          parameter('id', 'path', { type: 'string' }),
          parameter('wait', 'query', {
            type: 'string',
            description: 'such as 30s; five minutes at most',
          }),
        ],
        responses: { 200: body(ref('SubTask')), default: failure() },
      },
      delete: {
        summary:
          'This sub-task is wanted no more, nor what it spawned: what has not begun never does, what runs is ended within ' +
          'seconds, what is settled stays. No failure of the run. The answer tells how it is now.',
        parameters: [parameter('id', 'path', { type: 'string' })],
        responses: { 200: body(ref('SubTask')), default: failure() },
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
          'The bytes; of a directory its listing as JSON. The header podmesh-artifact-kind says which. Takes one Range. ' +
          'What a sub-task left and nobody has any more is made again first; meanwhile the cores of this task are for others.',
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
        parents: {
          type: 'array',
          items: { type: 'string' },
          description: 'who spawned it, who spawned that, and so on',
        },
        spawn: {
          ...closed({
            depth: { type: 'integer', minimum: 0 },
            tasks: { type: 'integer', minimum: 0 },
            cpuSeconds: { type: 'integer', minimum: 0 },
          }),
          description: 'what it may still spawn, its own budget and those above it considered',
        },
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
      SpawnOrder: {
        type: 'object',
        properties: {
          key: { type: 'string', description: 'by which a repeated attempt finds them again' },
          jobs: { type: 'array', minItems: 1, items: { type: 'object' } },
        },
        required: ['jobs'],
        additionalProperties: false,
      },
      Spawned: closed({
        key: { type: 'string' },
        tasks: {
          type: 'array',
          items: closed(
            { task: { type: 'string' }, job: { type: 'string' } },
            { index: { type: 'integer', minimum: 0 } },
          ),
        },
      }),
      SubTasks: closed({
        settled: { type: 'integer', minimum: 0 },
        tasks: { type: 'array', items: ref('SubTask') },
      }),
      SubTask: closed(
        {
          task: { type: 'string' },
          state: {
            enum: [
              ...['waiting', 'ready', 'running', 'held'],
              ...['succeeded', 'failed', 'skipped', 'cancelled'],
            ],
          },
          settled: { type: 'boolean', description: 'nothing can happen to it any more' },
          attempts: { type: 'integer', minimum: 0 },
        },
        {
          cached: { type: 'boolean' },
          outputs: { type: 'object', additionalProperties: ref('Artifact') },
          exit: { type: 'object' },
          log: { type: 'string', description: 'digest of all that it printed' },
          failure: closed(
            { kind: { type: 'string' }, message: { type: 'string' } },
            { stderrTail: { type: 'string' } },
          ),
        },
      ),
      Error: closed({
        error: closed({ code: { enum: TASK_API_ERROR_CODES }, message: { type: 'string' } }),
      }),
    },
  },
};

function ref(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}

type Properties = Readonly<Record<string, object>>;

/** An object that has all of these members, maybe those, and no other. */
function closed(needed: Properties, possible: Properties = {}): object {
  return {
    type: 'object',
    properties: { ...needed, ...possible },
    required: Object.keys(needed),
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
