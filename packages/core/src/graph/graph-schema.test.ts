import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isJobId } from '../words/ids.ts';
import { graphSchema } from './graph-schema.ts';
import type { JsonSchema } from './json-schema.ts';

/** The object schemas within, by the path of their members. */
function membersOf(schema: JsonSchema, path: string): [string, JsonSchema][] {
  const properties = (schema.properties ?? {}) as Record<string, JsonSchema>;
  return Object.entries(properties).flatMap(([name, member]) => [
    [`${path}.${name}`, member] as [string, JsonSchema],
    ...membersOf(member, `${path}.${name}`),
  ]);
}

describe('the published schema', () => {
  test('is plain JSON and valid draft 2020-12', () => {
    expect(JSON.parse(JSON.stringify(graphSchema))).toEqual(graphSchema);
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
    expect(ajv.validateSchema(graphSchema)).toBe(true);
    const validate = ajv.compile(graphSchema);
    expect(validate({ version: 1, jobs: [{ container: 'a' }] })).toBe(true);
    expect(validate({ version: 1, jobs: [{ container: 'a', extra: 1 }] })).toBe(false);
  });

  test.each([
    ...membersOf(graphSchema, 'document'),
    ...membersOf(graphSchema.$defs.job, 'job'),
    ...membersOf(graphSchema.$defs.defaults, 'defaults'),
  ])('%s has a title and a description', (_, member) => {
    if (typeof member.$ref === 'string') return;
    expect(member.title).toBeTypeOf('string');
    expect(member.description).toMatch(/\.$/);
  });

  test('agrees with the words on what an id is', () => {
    const members = graphSchema.$defs.job.properties as Record<string, JsonSchema>;
    const shape = new RegExp(String(members.id?.pattern), 'u');
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[A-Za-z0-9_.:-]{1,66}$/)), (text) => {
        expect(shape.test(text)).toBe(isJobId(text));
      }),
    );
  });
});
