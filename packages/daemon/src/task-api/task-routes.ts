import { isSettled, lineOf, millisecondsOf, type RunState, taskId } from '@podmesh/core';
import { dropSubTask } from './drop-sub-task.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RunFeeds } from './run-feeds.ts';
import { keyOfJobs, type SpawnOrder, type SpawnParts, spawnSubTasks } from './spawn-sub-tasks.ts';
import { type SubTaskView, viewSubTask } from './sub-task-view.ts';
import { subTasksOf } from './sub-tasks-of.ts';
import { json, type TaskApiAnswer, type TaskApiCall, type TaskApiRoute } from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';
import { LISTING_PIECE_CHARACTERS, TASKS_LISTED_MAX, WAIT_MS_MAX } from './task-api-limits.ts';
import type { TaskAtWork } from './task-at-work.ts';

export interface TaskRouteParts extends SpawnParts {
  readonly feeds: RunFeeds;
}

/** Tasks that spawn tasks, wait for them, and read what came of them. */
export function taskRoutes(parts: TaskRouteParts): readonly TaskApiRoute[] {
  return [
    { method: 'POST', path: '/v1/tasks', answer: (call) => spawn(parts, call) },
    { method: 'GET', path: '/v1/tasks', answer: (call) => listTasks(parts, call) },
    { method: 'GET', path: '/v1/tasks/{id}', answer: (call) => readTask(parts, call) },
    { method: 'DELETE', path: '/v1/tasks/{id}', answer: (call) => drop(parts, call) },
  ];
}

async function spawn(parts: TaskRouteParts, { task, request }: TaskApiCall) {
  const order = parseOrder((await readJsonBody(request)) ?? {}, parts);
  const { run } = task.offer;
  // One after the other: each has to see what the one before it has written.
  return await task.inTurn(() =>
    parts.feeds.with(run, async (feed) => json(await spawnSubTasks(parts, feed, task, order), 201)),
  );
}

function parseOrder(
  { key, jobs, ...others }: Readonly<Record<string, unknown>>,
  { sha256 }: TaskRouteParts,
): SpawnOrder {
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw wrong(`there is no ${JSON.stringify(other.slice(0, 100))} here; give jobs, and a key`);
  if (!Array.isArray(jobs) || jobs.length === 0) throw wrong('"jobs" is no list of jobs');
  if (key !== undefined && typeof key !== 'string') throw wrong('"key" is no text');
  return { key: key ?? keyOfJobs(jobs, sha256), jobs };
}

async function readTask(
  { feeds }: TaskRouteParts,
  { task, path, query, signal }: TaskApiCall,
): Promise<TaskApiAnswer> {
  const id = path.id ?? '';
  const look = (state: RunState) => ownSubTask(state, task, id);
  return await waited(feeds, { task, query, signal }, look, ({ settled }) => settled);
}

async function drop(parts: TaskRouteParts, { task, path }: TaskApiCall): Promise<TaskApiAnswer> {
  const look = (state: RunState) => ownSubTask(state, task, path.id ?? '');
  return await task.inTurn(() =>
    parts.feeds.with(task.offer.run, async (feed) =>
      json(await dropSubTask({ log: parts.log, feed, task, look })),
    ),
  );
}

/** All that this task spawned itself. With `settled=N` it waits until more than so many of them are settled. */
async function listTasks(
  { feeds }: TaskRouteParts,
  { task, query, signal }: TaskApiCall,
): Promise<TaskApiAnswer> {
  const more = Number(query.get('settled') ?? '0');
  if (!Number.isSafeInteger(more) || more < 0) throw wrong('"settled" is no whole number');
  const look = (state: RunState) => {
    const all = subTasksOf(state, task.offer.task);
    const settled = all.filter((one) => isSettledTask(state, one)).length;
    return { settled, count: all.length, state, all };
  };
  const isEnough = (seen: ReturnType<typeof look>) =>
    seen.settled > more || seen.settled === seen.count;
  return await waited(
    feeds,
    { task, query, signal },
    look,
    isEnough,
    ({ state, settled, all }) => ({
      kind: 'bytes',
      status: 200,
      headers: { 'content-type': 'application/json' },
      source: listing(state, settled, all.slice(0, TASKS_LISTED_MAX)),
      onEnd: () => undefined,
    }),
  );
}

/** Made as it is taken: whoever asks often and reads nothing must not fill this peer's memory. */
async function* listing(
  state: RunState,
  settled: number,
  all: readonly number[],
): AsyncGenerator<Uint8Array> {
  let text = `{"settled":${settled},"tasks":[`;
  let isFirst = true;
  for (const one of all) {
    const view = viewSubTask(state, one);
    if (view === undefined) continue;
    text += `${isFirst ? '' : ','}${JSON.stringify(view)}`;
    isFirst = false;
    if (text.length < LISTING_PIECE_CHARACTERS) continue;
    yield Buffer.from(text);
    text = '';
  }
  yield Buffer.from(`${text}]}\n`);
}

interface Waiting {
  readonly task: TaskAtWork;
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
}

/** What is seen now, or, if that is not enough and the query says `wait`, as soon as it is or the time is up. */
async function waited<Seen extends object>(
  feeds: RunFeeds,
  { task, query, signal }: Waiting,
  look: (state: RunState) => Seen,
  isEnough: (seen: Seen) => boolean,
  tell: (seen: Seen) => TaskApiAnswer = json,
): Promise<TaskApiAnswer> {
  const waitMs = parseWait(query.get('wait'));
  return await feeds.with(task.offer.run, async (feed) => {
    const now = await feed.find(look, signal, task.startedSequence);
    if (now === undefined) throw new TaskApiError('attempt-over', 'this attempt is over');
    if (waitMs === 0 || isEnough(now)) return tell(now);
    const late = AbortSignal.any([signal, AbortSignal.timeout(waitMs)]);
    const lookOn = (state: RunState) => {
      const seen = look(state);
      return isEnough(seen) ? seen : undefined;
    };
    const then = await task.whileWaiting(() => feed.find(lookOn, late));
    const last = then ?? (await feed.find(look, new AbortController().signal));
    if (last === undefined) throw new TaskApiError('attempt-over', 'this attempt is over');
    return tell(last);
  });
}

function parseWait(text: string | null): number {
  if (text === null || text === '') return 0;
  if (!/^\d{1,9}(\.\d{1,3})?(ms|s|m|h)?$/.test(text))
    throw wrong(`"wait" is ${JSON.stringify(text.slice(0, 20))}; write 30s, 500ms or 2m`);
  const ms = text.endsWith('ms') ? Number.parseFloat(text) : millisecondsOf(text);
  return Math.min(ms, WAIT_MS_MAX);
}

/** What a task did not spawn, itself or through its sub-tasks, is none of its business: to wait for it could deadlock. */
function ownSubTask(state: RunState, { offer }: TaskAtWork, id: string): SubTaskView {
  const own = state.index.numberOf(offer.task);
  const number = /^[A-Za-z0-9_-]+(:\d{1,7})?$/.test(id) ? numberIn(state, id) : undefined;
  const isBelow =
    number !== undefined &&
    own !== undefined &&
    number !== own &&
    [...lineOf(state, number)].includes(own);
  const view = isBelow ? viewSubTask(state, number) : undefined;
  if (view !== undefined) return view;
  const advice =
    'tasks are named as the answer to their spawn names them in "task", not by their key';
  throw new TaskApiError('not-found', `this task has spawned no ${JSON.stringify(id)}; ${advice}`);
}

function numberIn(state: RunState, id: string): number | undefined {
  try {
    return state.index.numberOf(taskId(id));
  } catch {
    // Not the shape of any id.
    return undefined;
  }
}

function isSettledTask(state: RunState, task: number): boolean {
  const now = state.tasks[task];
  return now !== undefined && isSettled(now);
}

const wrong = (message: string): TaskApiError => new TaskApiError('bad-request', message);
