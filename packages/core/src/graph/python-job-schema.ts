import { NAMES_PER_JOB_MAX } from '../words/limits.ts';
import type { JsonSchema } from './json-schema.ts';

const path = (title: string, description: string, examples: readonly string[]): JsonSchema => ({
  title,
  description,
  type: 'string',
  minLength: 1,
  maxLength: 4_096,
  examples,
});

/** The member `job` of a job: a program that needs no container of its own. */
export const pythonJobSchema: JsonSchema = {
  title: 'Python job',
  description:
    'Runs main() of a main.py in a ready Python image, instead of a command: a map such as ' +
    '{"python": "code.zip"}. The output "result" is a JSON record of what main() returned, or of its error.',
  type: 'object',
  additionalProperties: false,
  required: ['python'],
  properties: {
    python: path(
      'program',
      'A zip file or a directory with main.py at its top, relative to the document; it is mounted at /job.',
      ['code.zip', 'code'],
    ),
    requirements: {
      title: 'requirements',
      description:
        'What pip installs: the path of a requirements file, or a list such as ["numpy==1.26.4"]. ' +
        'Installed once by a job of its own, which has a network unless "wheels" is given, and cached. ' +
        'Name needs.arch in a mesh of several architectures. No passwords, in the file neither: the mesh keeps what stands there.',
      type: ['string', 'array'],
      minLength: 1,
      maxLength: 4_096,
      maxItems: NAMES_PER_JOB_MAX,
      items: {
        description:
          'Write each as pip takes it, such as "numpy==1.26.4"; options belong into a requirements file.',
        type: 'string',
        pattern: '^[A-Za-z0-9][^\\u0000-\\u001f]{0,255}$',
      },
      examples: ['requirements.txt', ['numpy==1.26.4']],
    },
    wheels: path(
      'wheels',
      'A directory of .whl files, relative to the document: pip installs from it, without a network. ' +
        'Without "requirements" all of them.',
      ['wheels'],
    ),
  },
};
