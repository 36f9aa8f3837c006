import type { ContainerRef, InputRef, Job, OutputRef } from './graph.ts';
import type { DocumentJob, DocumentPythonJob } from './graph-document.ts';
import { holdsCredentials, secretIn } from './holds-credentials.ts';
import { parseInputRef } from './parse-reference.ts';
import type { Path, ProblemList } from './problem-list.ts';
import {
  isPipSetting,
  type PythonRequirements,
  type RequirementLayers,
} from './requirement-layers.ts';

/** The image of Python jobs that name none; `scripts/build-image` makes it. */
export const PYTHON_CONTAINER: ContainerRef = {
  kind: 'reference',
  reference: 'localhost/podmesh/python:1',
};
/** The output of every Python job: a JSON record of what `main()` returned, or of its error. */
export const PYTHON_RESULT = 'result';
/** What `podman/python/podmesh-python-job` in the image is told, and where it looks. */
const RESULT_PATH = '/tmp/podmesh-result.json';
const RUN_COMMAND: readonly string[] = ['podmesh-python-job', 'run', RESULT_PATH];
const CODE = 'job';
const REQUIREMENTS = 'requirements';
const TASK_ID = 'JOB_ID';

const RESULT_OUTPUT: OutputRef = { kind: 'file', path: RESULT_PATH, onFailure: true };

/** An ordinary job, read from the document, made into one that runs the `main()` of its `job` member. */
export function pythonJob(
  job: Job,
  said: DocumentJob & { readonly job: DocumentPythonJob },
  path: Path,
  { layers, problems }: { readonly layers: RequirementLayers; readonly problems: ProblemList },
): Job {
  reportTaken(job, said, path, problems);
  reportSecrets(job, said, path, problems);
  const code = readPath(said.job.python, [...path, 'job', 'python'], problems);
  const layer = layers.layerFor(job, readRequirements(said.job, [...path, 'job'], problems));
  return {
    ...job,
    command: RUN_COMMAND,
    inputs: {
      ...job.inputs,
      ...(code === undefined ? {} : { [CODE]: { ...code, unpack: true } }),
      ...(layer === undefined ? {} : { [REQUIREMENTS]: layer }),
    },
    mountAt: { [CODE]: '/job' },
    outputs: { ...job.outputs, [PYTHON_RESULT]: RESULT_OUTPUT },
    taskIdEnv: TASK_ID,
  };
}

type FileInput = Extract<InputRef, { kind: 'file' }>;

function readRequirements(
  { requirements = [], wheels }: DocumentPythonJob,
  path: Path,
  problems: ProblemList,
): PythonRequirements {
  const isPath = typeof requirements === 'string';
  return {
    words: isPath ? [] : requirements,
    file: isPath ? readPath(requirements, [...path, 'requirements'], problems) : undefined,
    wheels: wheels === undefined ? undefined : readPath(wheels, [...path, 'wheels'], problems),
  };
}

/** A path of the publisher; undefined, and reported, when it can be none. */
function readPath(text: string, path: Path, problems: ProblemList): FileInput | undefined {
  const parsed = parseInputRef(`file:${text}`);
  if (parsed.ok) return parsed.value.kind === 'file' ? parsed.value : undefined;
  const { problem } = parsed.error;
  problems.add(path, () => ({ problem, advice: 'Write a path relative to the document.' }));
  return undefined;
}

/** Reports what the person says although a Python job says it itself. */
function reportTaken(job: Job, said: DocumentJob, path: Path, problems: ProblemList): void {
  if (said.command !== undefined) {
    problems.add([...path, 'command'], () => ({
      problem: 'a job with "job" runs the main() of its main.py, so it has no command of its own',
      advice: 'Leave out "command", or leave out "job".',
    }));
  }
  for (const name of [CODE, REQUIREMENTS]) {
    if (Object.hasOwn(job.inputs, name)) reportName(name, [...path, 'inputs', name], problems);
  }
  if (Object.hasOwn(job.outputs, PYTHON_RESULT)) {
    reportName(PYTHON_RESULT, [...path, 'outputs', PYTHON_RESULT], problems);
  }
  if (Object.hasOwn(job.env, TASK_ID)) {
    problems.add([...path, 'env'], () => ({
      problem: `${TASK_ID} is set by podmesh for a job with "job"`,
      advice: 'Choose another name.',
    }));
  }
}

/** The run log is for everybody in the mesh, and for good: what pip would be told is in it. */
function reportSecrets(
  { env }: Job,
  { job: { requirements = [] }, env: ownEnv }: DocumentJob & { readonly job: DocumentPythonJob },
  path: Path,
  problems: ProblemList,
): void {
  for (const [name, value] of Object.entries(env)) {
    if (!isPipSetting(name) || !holdsCredentials(value)) continue;
    const isOwn = ownEnv !== undefined && !Array.isArray(ownEnv) && Object.hasOwn(ownEnv, name);
    problems.add([...path, 'env', ...(isOwn ? [name] : [])], () => secretIn(name));
  }
  if (typeof requirements === 'string') return;
  for (const [position, word] of requirements.entries()) {
    if (!holdsCredentials(word)) continue;
    const place = [...path, 'job', 'requirements', position];
    problems.add(place, () => secretIn('this requirement'));
  }
}

function reportName(name: string, path: Path, problems: ProblemList): void {
  problems.add(path, () => ({
    problem: `the name "${name}" is taken: a job with "job" has one of this name already`,
    advice: 'Choose another name.',
  }));
}
