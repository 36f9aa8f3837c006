import type { ErrorObject } from 'ajv/dist/2020.js';
import { didYouMean } from './nearest-name.ts';
import { type Finding, inWords, type Path } from './problem-list.ts';

/**
 * What one error of the schema check means to the person who wrote the document; `at` is the path
 * below the part that was checked. Undefined for an error that only repeats another.
 */
export function explainSchemaError(
  error: ErrorObject,
): { readonly at: Path; readonly finding: () => Finding } | undefined {
  if (error.keyword === 'propertyNames') return undefined;
  const at = pointerPath(error.instancePath);
  if (error.keyword === 'additionalProperties') {
    const name = String(error.params.additionalProperty);
    return { at: [...at, name], finding: () => unknownMember(name, error) };
  }
  // ajv reports a bad key at the map that holds it.
  if (error.propertyName !== undefined) {
    const name = error.propertyName;
    return { at: [...at, name], finding: () => badName(name, error) };
  }
  return { at, finding: () => ({ problem: problemOf(error), advice: adviceOf(error) }) };
}

/** The steps of a JSON pointer (RFC 6901). */
function pointerPath(pointer: string): readonly string[] {
  if (pointer === '') return [];
  const steps = pointer.slice(1).split('/');
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function unknownMember(name: string, error: ErrorObject): Finding {
  const known = Object.keys(propertiesOf(error));
  const list = known.filter((key) => !key.startsWith('$')).join(', ');
  return {
    problem: `${inWords(name)} is not known here`,
    advice: `${didYouMean(name, known)}Known here: ${list}.`,
  };
}

function badName(name: string, error: ErrorObject): Finding {
  return { problem: `${inWords(name)} cannot be a name here`, advice: adviceOf(error) };
}

function problemOf(error: ErrorObject): string {
  const { data, params } = error;
  switch (error.keyword) {
    case 'type':
      return `this must be ${typesInWords(params.type)}, not ${inWords(data)}`;
    case 'required':
      return `${inWords(params.missingProperty)} is missing`;
    case 'pattern':
      return `${inWords(data)} is not written in a way that can be read here`;
    case 'minimum':
    case 'exclusiveMinimum':
    case 'maximum':
    case 'exclusiveMaximum':
      return `${inWords(data)} is out of range: it must be ${params.comparison} ${params.limit}`;
    case 'minLength':
    case 'minItems':
      return 'this must not be empty';
    case 'maxLength':
      return `this text is longer than ${params.limit} characters`;
    case 'maxItems':
    case 'maxProperties':
      return tooMany(error);
    case 'uniqueItems':
      return `items ${Math.min(params.i, params.j)} and ${Math.max(params.i, params.j)} are the same`;
    default:
      return error.message ?? `this breaks the rule "${error.keyword}"`;
  }
}

function tooMany(error: ErrorObject): string {
  const size = Array.isArray(error.data) ? error.data.length : Object.keys(error.data ?? {}).length;
  if (error.params.limit === 0) return 'this must be a map; only an empty list is read as one';
  return `there are ${size.toLocaleString('en')} here, and at most ${Number(error.params.limit).toLocaleString('en')} are possible`;
}

/** The description in the schema says how it should be. */
function adviceOf(error: ErrorObject): string {
  const described: unknown =
    error.keyword === 'required'
      ? propertiesOf(error)[String(error.params.missingProperty)]
      : error.parentSchema;
  return descriptionOf(described) ?? 'See the schema of the document.';
}

function descriptionOf(schema: unknown): string | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  return 'description' in schema && typeof schema.description === 'string'
    ? schema.description
    : undefined;
}

function propertiesOf(error: ErrorObject): Readonly<Record<string, unknown>> {
  const properties: unknown = error.parentSchema?.properties;
  return typeof properties === 'object' && properties !== null
    ? (properties as Record<string, unknown>)
    : {};
}

const TYPES_IN_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  object: 'a map',
  array: 'a list',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
};

function typesInWords(types: unknown): string {
  const list = Array.isArray(types) ? types.map(String) : String(types).split(',');
  return list.map((type) => TYPES_IN_WORDS[type] ?? type).join(' or ');
}
