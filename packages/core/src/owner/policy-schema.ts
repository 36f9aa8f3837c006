import type { JsonSchema } from '../graph/json-schema.ts';
import { DAYS } from './owner-policy.ts';

const PERCENT = '^(100|[0-9]{1,2})(\\.[0-9]+)?%$';
const TIME = '([01]?[0-9]|2[0-3]):[0-5][0-9]';

const share = (what: string) => ({
  type: 'string',
  pattern: PERCENT,
  description: `Write ${what} as "50%".`,
});
const yes = (what: string) => ({
  type: 'boolean',
  const: true,
  description: `Write true, ${what}; to have it no more, leave it out.`,
});

const QUIET = 'Write local times as "22:00-06:30", or a list of such.';

/** Rules of one policy; each is looked at every few seconds. */
const RULES_MAX = 64;

/** The policy of a machine's owner; descriptions are the advice that people get for a mistake. */
export const policySchema = {
  type: 'object',
  description: 'Write a map: {"version": 1, "rules": [ … ]}.',
  required: ['version', 'rules'],
  additionalProperties: false,
  properties: {
    version: { type: 'integer', const: 1, description: 'Write version: 1.' },
    wake: {
      type: ['boolean', 'object'],
      required: ['quiet'],
      additionalProperties: false,
      description:
        'Write false where nobody may wake this machine, or { quiet: "22:00-07:00" } for times at which it sleeps on.',
      properties: {
        quiet: {
          type: ['string', 'array'],
          pattern: `^${TIME} ?- ?${TIME}$`,
          maxItems: RULES_MAX,
          items: { type: 'string', pattern: `^${TIME} ?- ?${TIME}$`, description: QUIET },
          description: QUIET,
        },
      },
    },
    rules: {
      type: 'array',
      maxItems: RULES_MAX,
      description: 'Write a list of rules, each with "when" and "do"; an empty list wants nothing.',
      items: {
        type: 'object',
        description: 'Write a rule as a map: { when: { onBattery: true }, do: pause }.',
        required: ['when', 'do'],
        additionalProperties: false,
        properties: {
          when: {
            type: 'object',
            minProperties: 1,
            additionalProperties: false,
            description:
              'Write at least one condition, such as { inUse: 5m }; all of them have to hold.',
            properties: {
              onBattery: yes('for a machine that runs on its battery'),
              batteryBelow: share('what is left in the battery'),
              inUse: {
                type: ['boolean', 'string'],
                not: { const: false },
                pattern: '^[0-9]+(\\.[0-9]+)?[smhd]$',
                description: 'Write true, or how recently somebody did something, such as 10m.',
              },
              metered: yes('for a network that is paid for by volume'),
              between: {
                type: 'string',
                pattern: `^${TIME} ?- ?${TIME}$`,
                description: 'Write local times as "22:00-06:30".',
              },
              days: {
                type: 'array',
                minItems: 1,
                uniqueItems: true,
                items: { type: 'string', enum: DAYS, description: `Days are ${DAYS.join(', ')}.` },
                description: 'Write a list of days, such as [sat, sun].',
              },
              loadAbove: {
                type: 'string',
                pattern: '^[0-9]{1,4}(\\.[0-9]+)?%$',
                description: 'Write how busy other programs keep its cores, as "80%".',
              },
              hotterThan: {
                type: 'number',
                exclusiveMinimum: 0,
                maximum: 150,
                description: 'Write degrees Celsius, a number such as 85.',
              },
            },
          },
          do: {
            type: ['string', 'object'],
            pattern: '^(pause|hand-back)$',
            minProperties: 1,
            additionalProperties: false,
            description:
              'Write pause, hand-back, or what it still offers: { cores: 50%, memory: 50% }.',
            properties: {
              cores: share('how many of its cores it still offers,'),
              memory: share('how much of its memory it still offers,'),
            },
          },
        },
      },
    },
  },
} as const satisfies JsonSchema;
