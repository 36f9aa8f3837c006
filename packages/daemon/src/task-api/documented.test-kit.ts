import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'vitest';
import { taskApiDocument } from './openapi.ts';
import type { Answered } from './task-api.test-kit.ts';

type Members = Readonly<Record<string, unknown>>;

const ajv = new Ajv2020({ strict: false });
ajv.addSchema({ ...taskApiDocument, $id: 'task-api' });

/** All that the document describes, as `GET /v1/me`. */
export function documentedRoutes(): readonly string[] {
  return Object.entries(taskApiDocument.paths).flatMap(([path, entry]) =>
    Object.keys(entry)
      .filter((method) => method !== 'parameters')
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
}

/** That an answer is one that the document describes, to the last member. */
export function expectDocumented(method: string, path: string, { status, body }: Answered): void {
  const entry = memberOf(taskApiDocument.paths, path);
  const responses = memberOf(memberOf(entry, method.toLowerCase()), 'responses');
  const response = memberOf(responses, String(status)) ?? memberOf(responses, 'default');
  expect(response, `${method} ${path} answers ${status}`).toBeDefined();
  const content = memberOf(response, 'content');
  if (content === undefined) {
    expect(body).toBeUndefined();
    return;
  }
  const schema = memberOf(memberOf(content, 'application/json'), 'schema');
  if (schema === undefined) return;
  const validate = ajv.compile(within(schema));
  expect(validate(body), JSON.stringify([body, validate.errors])).toBe(true);
}

/** References are meant within the document. */
function within(schema: unknown): object {
  const text = JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"task-api#/');
  return JSON.parse(text) as object;
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as Members)[name];
}
