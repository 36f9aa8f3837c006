import {
  SPAWN_CPU_SECONDS_MAX,
  SPAWN_DEPTH_DEFAULT,
  SPAWN_DEPTH_MAX,
  SPAWN_IMAGES_MAX,
  SPAWN_TASKS_DEFAULT,
  SPAWN_TASKS_MAX,
} from '../words/limits.ts';
import type { JsonSchema } from './json-schema.ts';

/** What a job's tasks may spawn. */
export const spawnSchema: JsonSchema = {
  title: 'spawn budget',
  description:
    'What each task of this job may spawn from inside, all levels together: a map of "depth" (levels of sub-tasks, ' +
    `0 for none; left out: ${SPAWN_DEPTH_DEFAULT}), "tasks" (left out: ${SPAWN_TASKS_DEFAULT.toLocaleString('en')}) ` +
    'and "cpuSeconds" used by them, after which they are ended and no more can be spawned. "images" says in which images. Sub-tasks can only have less.',
  type: 'object',
  additionalProperties: false,
  properties: {
    depth: {
      title: 'levels of sub-tasks',
      description: `Write a whole number from 0 to ${SPAWN_DEPTH_MAX}.`,
      type: 'integer',
      minimum: 0,
      maximum: SPAWN_DEPTH_MAX,
    },
    tasks: {
      title: 'number of sub-tasks',
      description: `Write a whole number from 0 to ${SPAWN_TASKS_MAX.toLocaleString('en')}.`,
      type: 'integer',
      minimum: 0,
      maximum: SPAWN_TASKS_MAX,
    },
    cpuSeconds: {
      title: 'CPU time of sub-tasks',
      description: `Write a number of seconds above 0, up to ${SPAWN_CPU_SECONDS_MAX.toLocaleString('en')}.`,
      type: 'number',
      exclusiveMinimum: 0,
      maximum: SPAWN_CPU_SECONDS_MAX,
    },
    images: {
      title: 'images of sub-tasks',
      description:
        'Write a list of image references in which sub-tasks may run besides the image of the task, such as ' +
        '["localhost/tool:1", "mesh/me/*", "*"]; "*" at the end stands for anything. Left out: images that the document ' +
        'names, and images of the mesh.',
      type: 'array',
      maxItems: SPAWN_IMAGES_MAX,
      uniqueItems: true,
      items: {
        description:
          'Write an image reference such as "localhost/tool:1", or its beginning and "*".',
        type: 'string',
        pattern: '^[A-Za-z0-9.:/@_\\[\\]-]*\\*?$',
        minLength: 1,
        maxLength: 400,
      },
    },
  },
};
