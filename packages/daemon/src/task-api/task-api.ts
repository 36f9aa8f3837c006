import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { ArtifactId, ClaimId, LiveLog, Sha256, TaskQuestion, TaskReply } from '@podmesh/core';
import type { Logger } from 'pino';
import { type AboutRouteParts, AboutRoutes } from './about-routes.ts';
import { type ArtifactRouteParts, artifactRoutes } from './artifact-routes.ts';
import { AttemptSockets, createDetachedServer } from './attempt-sockets.ts';
import { type MakeAgainParts, makeAgain } from './make-again.ts';
import { taskApiDocument } from './openapi.ts';
import { ReportRoutes } from './report-routes.ts';
import { RouteTable } from './route-table.ts';
import { type RunFeedParts, RunFeeds } from './run-feeds.ts';
import { sendAnswer, sendError, toTaskApiError } from './send-answer.ts';
import { SocketPlace } from './socket-place.ts';
import type { SpawnParts } from './spawn-sub-tasks.ts';
import { json, type TaskApiRoute } from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';
import {
  CHECK_MS,
  HEAD_BYTES_MAX,
  HEAD_MS,
  IDLE_MS,
  TASK_REQUESTS_MAX,
} from './task-api-limits.ts';
import { type AttemptAtWork, TaskAtWork } from './task-at-work.ts';
import type { TaskLine, TaskLines } from './task-lines.ts';
import { errorReply, MessageRequest, replyOf } from './task-message.ts';
import { taskRoutes } from './task-routes.ts';

export interface TaskApiParts
  extends AboutRouteParts,
    ArtifactRouteParts,
    Omit<RunFeedParts, 'log'> {
  readonly log: RunFeedParts['log'] & SpawnParts['log'];
  readonly sha256: Sha256;
  /** Path of the home. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly liveLog: LiveLog;
  readonly logger: Logger;
  /** How tasks with a network reach the mesh; absent: they do not. */
  readonly lines?: TaskLines | undefined;
  /** Everything that anybody has, where it matters that something is not there. */
  readonly rollCall: MakeAgainParts['rollCall'];
  /** Overrides `HEAD_MS` in tests. */
  readonly headMs?: number;
  /** Overrides `STALL_MS` in tests. */
  readonly stallMs?: number;
}

/** Where attempts are answered while their containers run. */
export interface AttemptDesk {
  /** The directory for the container, with its socket in it; the same one for a container that is adopted. */
  open(attempt: AttemptAtWork): string;
  /** How an attempt that is open, and has a network, speaks NATS; undefined where it cannot. */
  line(claim: ClaimId): Promise<TaskLine | undefined>;
  /** Nobody is answered any more. Harmless when it was never open. */
  close(claim: ClaimId): void;
  /** The directory goes. `isGone`: a container had it, has ended, and was removed. */
  remove(claim: ClaimId, isGone: boolean): void;
}

/**
 * What tasks may ask of their peer, over HTTP at `/run/podmesh.sock`. Each attempt has a socket of its own, which tells
 * who asks. Answers that are no success are `{error: {code, message}}`.
 */
export class TaskApi implements AttemptDesk {
  readonly #parts: TaskApiParts;
  readonly #table: RouteTable;
  readonly #server: Server;
  readonly #tasks = new Map<ClaimId, TaskAtWork>();
  readonly #feeds: RunFeeds;
  #place: SocketPlace | undefined;
  #sockets: AttemptSockets<TaskAtWork> | undefined;

  constructor(parts: TaskApiParts) {
    this.#parts = parts;
    this.#feeds = new RunFeeds(parts);
    this.#table = new RouteTable(routesOf(parts, this.#feeds));
    this.#server = createDetachedServer(
      {
        maxHeaderSize: HEAD_BYTES_MAX,
        headersTimeout: parts.headMs ?? HEAD_MS,
        // Bodies have deadlines of their own: an artifact may take hours, as long as it moves.
        requestTimeout: 0,
        connectionsCheckingInterval: CHECK_MS,
        keepAliveTimeout: IDLE_MS,
      },
      (request, response) => void this.#answer(request, response),
    );
  }

  /** All that is answered. */
  get routes(): readonly TaskApiRoute[] {
    return this.#table.routes;
  }

  /** What tasks put that nothing refers to yet. */
  held(): readonly ArtifactId[] {
    return [...this.#tasks.values()].flatMap(({ held }) => [...held.keys()]);
  }

  /** `kept`: claims whose containers may still run. Throws where no socket can be made. */
  async start(kept: ReadonlySet<ClaimId>): Promise<void> {
    this.#place = await SocketPlace.open(this.#parts.home, this.#parts.env);
    this.#place.sweep(kept);
    this.#sockets = new AttemptSockets(this.#place, this.#server);
  }

  /** Ends all that is being answered; the directories stay for containers that run on. Harmless when never started, or twice. */
  async stop(): Promise<void> {
    for (const claim of [...this.#tasks.keys()]) this.close(claim);
    this.#sockets?.closeAll();
    this.#sockets = undefined;
    await this.#feeds.stop();
    this.#server.close();
    this.#place?.close();
    this.#place = undefined;
  }

  open(attempt: AttemptAtWork): string {
    if (this.#sockets === undefined) throw new Error('tasks cannot be answered: it was stopped');
    const task = new TaskAtWork(attempt);
    const directory = this.#sockets.open(attempt.claim, task);
    this.#tasks.set(attempt.claim, task);
    return directory;
  }

  async line(claim: ClaimId): Promise<TaskLine | undefined> {
    const task = this.#tasks.get(claim);
    const { lines } = this.#parts;
    if (lines === undefined || this.#place === undefined || !task?.offer.net) return undefined;
    const answer = (question: TaskQuestion) => this.#reply(task, question);
    try {
      return await lines.open(task, this.#place.directory(claim), answer);
    } catch (error) {
      // It has its socket, and most tasks want no more.
      const { run, task: id } = task.offer;
      this.#parts.logger.warn({ run, task: id, err: error }, 'a task gets no credentials for NATS');
      return undefined;
    }
  }

  close(claim: ClaimId): void {
    const task = this.#tasks.get(claim);
    if (task === undefined) return;
    this.#tasks.delete(claim);
    // Without a reason of its own an exception with a stack would be made for every task.
    task.over.abort('over');
    this.#sockets?.close(claim);
  }

  remove(claim: ClaimId, isGone: boolean): void {
    this.close(claim);
    this.#sockets?.remove(claim, isGone);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const task = this.#sockets?.speakerOf(request);
    try {
      if (task === undefined || task.over.signal.aborted)
        throw new TaskApiError('attempt-over', 'this attempt is over');
      await task.asRequest(TASK_REQUESTS_MAX, () => this.#handle(task, request, response));
    } catch (error) {
      this.#refuse(task, request, response, error);
    }
  }

  async #handle(
    task: TaskAtWork,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const left = new AbortController();
    const leave = (): void => left.abort('gone');
    response.once('close', leave);
    // Of requests one behind the other on a connection only the first one's answer hears that it is gone.
    request.socket.once('close', leave);
    task.over.signal.addEventListener('abort', leave, { once: true });
    try {
      const { pathname, searchParams: query } = parseTarget(request.url ?? '/');
      const { route, path } = this.#table.find(request.method ?? '', pathname);
      const { signal } = left;
      const answer = await route.answer({ task, request, path, query, signal });
      await sendAnswer(response, answer, this.#parts.stallMs);
    } finally {
      request.socket.removeListener('close', leave);
      task.over.signal.removeEventListener('abort', leave);
    }
  }

  #refuse(
    task: TaskAtWork | undefined,
    { method, url }: IncomingMessage,
    response: ServerResponse,
    thrown: unknown,
  ): void {
    const error = toTaskApiError(thrown);
    if (!response.destroyed) this.#note(error, task, { method, url: url?.slice(0, 200) });
    sendError(response, error);
  }

  /** The same, asked in a message. Never throws. */
  async #reply(task: TaskAtWork, question: TaskQuestion): Promise<TaskReply> {
    const { method, path: asked, query } = question;
    try {
      const { signal } = task.over;
      if (signal.aborted) throw new TaskApiError('attempt-over', 'this attempt is over');
      return await task.asRequest(TASK_REQUESTS_MAX, async () => {
        const { route, path } = this.#table.find(method, asked);
        const request = new MessageRequest(question);
        const call = { task, request, path, query: new URLSearchParams(query), signal };
        return await replyOf(await route.answer(call));
      });
    } catch (thrown) {
      const error = toTaskApiError(thrown);
      this.#note(error, task, { method, url: asked.slice(0, 200) });
      return errorReply(error);
    }
  }

  #note(error: TaskApiError, task: TaskAtWork | undefined, asked: object): void {
    if (error.code !== 'internal') return;
    const { run, task: id, attempt } = task?.offer ?? {};
    const about = { run, task: id, attempt, ...asked, err: error.cause ?? error };
    this.#parts.logger.warn(about, 'could not answer a task');
  }
}

function parseTarget(target: string): URL {
  // What is no path (`//x`, `*`, another host) is none of ours.
  if (/^\/[^/]/.test(target) && URL.canParse(target, 'http://task'))
    return new URL(target, 'http://task');
  throw new TaskApiError('not-found', `there is no ${JSON.stringify(target.slice(0, 100))}`);
}

function routesOf(parts: TaskApiParts, feeds: RunFeeds): readonly TaskApiRoute[] {
  return [
    { method: 'GET', path: '/v1/openapi.json', answer: async () => json(taskApiDocument) },
    ...new AboutRoutes(parts, feeds).routes,
    ...new ReportRoutes(parts.liveLog).routes,
    ...artifactRoutes({ ...parts, again: (wanted) => makeAgain({ ...parts, feeds }, wanted) }),
    ...taskRoutes({ ...parts, feeds }),
  ];
}
