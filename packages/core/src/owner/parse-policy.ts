import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { explainSchemaError } from '../graph/explain-schema-error.ts';
import { type GraphProblem, ProblemList } from '../graph/problem-list.ts';
import { ok, type Result, refused } from '../words/result.ts';
import { type OwnerPolicy, type PolicyDocument, toPolicy } from './owner-policy.ts';
import { policySchema } from './policy-schema.ts';

/** A policy from what stands in its file, or all that is wrong with it at once. */
export function parsePolicy(document: unknown): Result<OwnerPolicy, readonly GraphProblem[]> {
  const validate = validator();
  if (validate(document)) return ok(toPolicy(document));
  const problems = new ProblemList(document);
  for (const error of validate.errors ?? []) {
    const explained = explainSchemaError(error);
    if (explained !== undefined) problems.add(explained.at, explained.finding);
  }
  return refused(problems.toProblems());
}

/** Compiled on first use, then kept. */
let compiled: ValidateFunction<PolicyDocument> | undefined;

function validator(): ValidateFunction<PolicyDocument> {
  compiled ??= new Ajv2020({
    allErrors: true,
    verbose: true,
    allowUnionTypes: true,
    strictTypes: false,
  }).compile<PolicyDocument>(policySchema);
  return compiled;
}
