import { meshReferenceText, parseMeshReference } from '../image/mesh-reference.ts';
import type { ContainerRef, Job } from './graph.ts';
import { inWords, type ProblemList } from './problem-list.ts';
import { PYTHON_CONTAINER } from './python-job.ts';

/** In which images the sub-tasks of a task may run. */
export interface ImageRules {
  /** The task's job, and those above it, that of the document last: each that names images holds all below it to them. */
  readonly line: readonly Job[];
  /** Whether a job of the document runs in it. Asked only where that job names no images. */
  readonly isOfDocument: (container: ContainerRef) => boolean;
}

/**
 * An image is a program that peers fetch and run because they are told to, and a task may be at work on what strangers
 * wrote: so what it spawns runs in images that the document names, one way or another, or that somebody pushed into the mesh.
 */
export function checkImage(
  container: ContainerRef,
  at: number,
  { line, isOfDocument }: ImageRules,
  problems: ProblemList,
): void {
  // What a job of the same task built is its own doing; which jobs it may read of is looked at elsewhere.
  if (container.kind === 'output') return;
  const name = container.kind === 'digest' ? container.digest : container.reference;
  // Inherited, or the same by name: it runs here already.
  if (line.some((above) => nameOf(above.container) === name)) return;
  const rules = line.flatMap(({ id, spawn }) =>
    spawn?.images === undefined ? [] : [{ id, images: spawn.images }],
  );
  // What a task says of its sub-tasks can only make it less: who publishes gives.
  const isGiven = line.at(-1)?.spawn?.images !== undefined;
  const isFree = isGiven || isOfDocument(container) || isOwn(name);
  const against = rules.find(({ images }) => !images.some((pattern) => matches(name, pattern)));
  if (isFree && against === undefined) return;
  const path = ['jobs', at, 'container'];
  const problem = `a sub-task cannot run in ${inWords(name)}`;
  problems.add(path, () =>
    against === undefined
      ? {
          problem: `${problem}, which the document of this run does not name`,
          advice: `Name it at the job that spawns, as "spawn": {"images": [${inWords(name)}]}, or push it into the mesh.`,
        }
      : {
          problem: `${problem}, which is not among the "spawn.images" of ${against.id}`,
          advice:
            'Add it there, leave "container" out for the image of this task, or use one of them.',
        },
  );
}

function nameOf(container: ContainerRef): string | undefined {
  if (container.kind === 'output') return undefined;
  return container.kind === 'digest' ? container.digest : container.reference;
}

/** Images of the mesh were pushed by one of its people, and podmesh's own belong to every machine. */
function isOwn(name: string): boolean {
  const isPython = PYTHON_CONTAINER.kind === 'reference' && PYTHON_CONTAINER.reference === name;
  return isPython || parseMeshReference(name) !== undefined;
}

/** Also of a name that says where it was pushed instead of `mesh/`. */
function matches(name: string, pattern: string): boolean {
  const mesh = parseMeshReference(name);
  const names = mesh === undefined ? [name] : [name, meshReferenceText(mesh), bare(name)];
  if (pattern.endsWith('*')) return names.some((one) => one.startsWith(pattern.slice(0, -1)));
  return names.includes(pattern);
}

/** `mesh/NAME:TAG` as it is usually written: with no digest, and no tag where that is `latest`. */
function bare(name: string): string {
  const { repository, tag } = parseMeshReference(name) ?? { repository: name };
  return tag === undefined || tag === 'latest' ? `mesh/${repository}` : `mesh/${repository}:${tag}`;
}
