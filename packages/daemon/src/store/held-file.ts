import { type ArtifactId, isDigest, type RunId, runId, type TaskId, taskId } from '@podmesh/core';

/** An output that is all here; a directory by its listing. */
export interface HeldPart {
  readonly output: ArtifactId;
  /** All that it consists of, itself among them. */
  readonly artifacts: ReadonlySet<ArtifactId>;
  /** Of what a failed attempt left. */
  readonly attempt?: number;
}

/** What is held for a task of a run, as its file tells it. */
export interface HeldText {
  readonly run: RunId;
  readonly task: TaskId;
  readonly apart?: true;
  readonly loose: ReadonlySet<ArtifactId>;
  readonly parts: readonly HeldPart[];
}

/** Everything that is held with it. */
export function allOf({ loose, parts }: Pick<HeldText, 'loose' | 'parts'>): Set<ArtifactId> {
  const all = new Set(loose);
  for (const { artifacts } of parts) for (const artifact of artifacts) all.add(artifact);
  return all;
}

/** Whether the one makes the other superfluous: it is the same and no less, or of a later attempt. */
export function isInsteadOf(one: HeldPart, other: HeldPart): boolean {
  if (one.attempt !== other.attempt)
    return (other.attempt ?? Number.POSITIVE_INFINITY) < (one.attempt ?? 0);
  if (one.output !== other.output) return false;
  return [...other.artifacts].every((artifact) => one.artifacts.has(artifact));
}

/** Older daemons read all but `parts`, which names artifacts by their places in the list. */
export function encodeHeld({ run, task, apart, loose, parts }: HeldText): string {
  const artifacts = [...allOf({ loose, parts })];
  const places = new Map(artifacts.map((artifact, place) => [artifact, place]));
  const outputs = [...new Set(parts.map(({ output }) => output))];
  const placed = parts.map(({ output, attempt, artifacts: own }) => ({
    output,
    attempt,
    artifacts: [...own].map((artifact) => places.get(artifact)),
  }));
  return `${JSON.stringify({ run, task, apart, artifacts, outputs, parts: placed })}\n`;
}

/** Undefined of what is none. An older daemon did not tell what belongs to which output: then all does to each. */
export function parseHeld(text: string): HeldText | undefined {
  try {
    const { run, task, apart, artifacts, outputs, parts }: Record<string, unknown> = Object(
      JSON.parse(text),
    );
    const owner = { run: runId(String(run)), task: taskId(String(task)) };
    const which = apart === true ? { apart: true as const } : {};
    const listed = digests(artifacts);
    const all = new Set(listed);
    const read = Array.isArray(parts)
      ? parts.map((part: unknown) => partOf(part, listed))
      : digests(outputs).map((output) => ({ output, artifacts: all }));
    const loose = new Set(all);
    for (const part of read) for (const artifact of part.artifacts) loose.delete(artifact);
    return { ...owner, ...which, loose, parts: read };
  } catch {
    return undefined;
  }
}

function partOf(part: unknown, listed: readonly ArtifactId[]): HeldPart {
  const { output, attempt, artifacts }: Record<string, unknown> = Object(part);
  const [digest] = digests([output]);
  if (digest === undefined || !Array.isArray(artifacts)) throw new Error('no part');
  const own = artifacts.map((place: unknown) => {
    const artifact = listed[Number(place)];
    if (artifact === undefined) throw new Error('no place in the list');
    return artifact;
  });
  const of = Number.isSafeInteger(attempt) ? { attempt: Number(attempt) } : {};
  return { output: digest, artifacts: new Set(own), ...of };
}

function digests(list: unknown): readonly ArtifactId[] {
  if (Array.isArray(list) && list.every((id) => typeof id === 'string' && isDigest(id)))
    return list;
  throw new Error('no list of digests');
}
