import type { Readable } from 'node:stream';
import type {
  ContainerExit,
  ContainerLabels,
  ContainerSample,
  LogSink,
  OutputEntry,
  OutputProblem,
  OutputRef,
  Result,
  RunningContainer,
} from '@podmesh/core';
import { ContainerLostError, unreachable } from '@podmesh/core';
import { awaitEnd, isRunning } from './await-end.ts';
import { type AttemptCgroup, type CgroupUsage, readUsage } from './container-cgroup.ts';
import { readFdFile } from './fd-launcher.ts';
import { measureProcesses, processTree } from './measure-processes.ts';
import { measureTree } from './measure-tree.ts';
import { type OwnSignal, settlesWithin, signalBehind } from './own-signals.ts';
import type { ContainerAnswer } from './podman-answers.ts';
import type { PodmanApi } from './podman-api.ts';
import { CLEAN_UP_MS_MAX, EXIT_POLL_MS_SOON, SCRATCH_ENTRIES_MAX } from './podman-limits.ts';
import { readDirectory, readFileOutput } from './read-output.ts';

/** What is known of a container when it is taken into our hands. */
export interface ContainerOrigin {
  readonly id: string;
  readonly labels: ContainerLabels;
  /** Live output and where it goes; absent for a container found by its label. */
  readonly attached?: { readonly log: LogSink; readonly stream: Readable };
  /** Host directory of the `fd` outputs. */
  readonly fdDirectory?: string;
  /** The attempt's own cgroup; removing it is up to `onRemoved`. */
  readonly cgroup?: AttemptCgroup;
  readonly onRemoved?: () => Promise<void>;
}

/** A container of ours over Podman's API. */
export class PodmanContainer implements RunningContainer {
  readonly labels: ContainerLabels;
  readonly replays = 'all';
  readonly #api: PodmanApi;
  readonly #origin: ContainerOrigin;
  #exit: Promise<ContainerExit> | undefined;
  #cleanedUp: Promise<void> | undefined;
  #place: ContainerPlace | undefined;
  readonly #sent = new Set<OwnSignal>();

  constructor(api: PodmanApi, origin: ContainerOrigin) {
    this.labels = origin.labels;
    this.#api = api;
    this.#origin = origin;
    // An attached stream wants to be read; an adopted container may just be looked at and let be.
    if (origin.attached !== undefined) this.#exit = this.#follow(origin.attached);
  }

  replayLog(log: LogSink): void {
    const before = this.#exit;
    const replayed = this.#follow({ log });
    this.#exit = before === undefined ? replayed : before.then(() => replayed);
    this.#exit.catch(() => undefined);
  }

  wait(): Promise<ContainerExit> {
    this.#exit ??= this.#follow(undefined);
    return this.#exit;
  }

  async stop(graceMs: number): Promise<void> {
    if (graceMs > 0) {
      await this.#kill('SIGTERM');
      if (await settlesWithin(this.wait(), graceMs)) return;
    }
    await this.#kill('SIGKILL');
    try {
      await this.wait();
    } catch (error) {
      // Gone, or never started: it does not run, which is what was asked for.
      if (!(error instanceof ContainerLostError)) throw error;
    }
  }

  async readOutput(output: OutputRef): Promise<Result<AsyncIterable<OutputEntry>, OutputProblem>> {
    switch (output.kind) {
      case 'fd':
        return await readFdFile(this.#origin.fdDirectory, output.fd);
      case 'file':
        return await readFileOutput(this.#archive, output.path);
      case 'dir':
        return await readDirectory(this.#archive, output.path);
      default:
        return unreachable(output);
    }
  }

  async pid(): Promise<number | undefined> {
    return (await placeOf(this.#api, this.#origin.id))?.pid;
  }

  async sample(): Promise<ContainerSample> {
    const { id, cgroup, fdDirectory } = this.#origin;
    this.#place ??= await placeOf(this.#api, id);
    const { pid = 0, upper } = this.#place ?? {};
    const used = pid === 0 ? {} : await measureProcesses(await processTree(pid), cgroup?.path);
    const places = [upper, fdDirectory].filter((place) => place !== undefined);
    const sizes = await Promise.all(places.map((place) => measureTree(place, SCRATCH_ENTRIES_MAX)));
    // What cannot be read is not counted: only Podman itself could, at the price of a container.
    const scratchBytes = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
    return { ...used, ...(upper === undefined ? {} : { scratchBytes }) };
  }

  async remove(): Promise<void> {
    await this.#api.remove(this.#origin.id);
    await this.#origin.onRemoved?.();
  }

  /**
   * Podman's clean-up unmounts the root file system without regard for who reads it: read before,
   * and a file that is there may be reported missing.
   */
  readonly #archive = async (path: string) => {
    const { id } = this.#origin;
    this.#cleanedUp ??= this.#api.awaitCondition(id, 'exited', EXIT_POLL_MS_SOON, CLEAN_UP_MS_MAX);
    await this.#cleanedUp;
    return await this.#api.archive(id, path);
  };

  #follow(output: { log: LogSink; stream?: Readable } | undefined): Promise<ContainerExit> {
    const { id, cgroup } = this.#origin;
    const exit = (async () => {
      const answer = await awaitEnd(this.#api, id, output?.log, output?.stream);
      const usage = cgroup === undefined ? undefined : await readUsage(cgroup, id);
      return exitFrom(answer, usage, this.#sent);
    })();
    // Whoever waits gets the error; nobody waiting is no reason to crash.
    exit.catch(() => undefined);
    return exit;
  }

  async #kill(signal: OwnSignal): Promise<void> {
    // Noted first: the exit may be reported before Podman's answer to the call.
    const before = this.#sent.has(signal);
    this.#sent.add(signal);
    const reached = await this.#api.kill(this.#origin.id, signal);
    if (!reached && !before) this.#sent.delete(signal);
  }
}

/** Where a running container can be measured from outside. */
interface ContainerPlace {
  readonly pid: number;
  readonly upper?: string;
}

/** Undefined while it is not known: it is asked again then. */
async function placeOf(api: PodmanApi, id: string): Promise<ContainerPlace | undefined> {
  const answer = await api.inspect(id).catch(() => undefined);
  if (answer === undefined || answer.State.Pid === 0) return undefined;
  const upper = answer.GraphDriver?.Data?.UpperDir;
  return { pid: answer.State.Pid, ...(upper === undefined ? {} : { upper }) };
}

function exitFrom(
  { Id, State }: ContainerAnswer,
  usage: CgroupUsage | undefined,
  sent: ReadonlySet<OwnSignal>,
): ContainerExit {
  if (isRunning(State.Status)) throw new ContainerLostError(Id, 'runs although it ended');
  const signal = signalBehind(State.ExitCode, sent);
  const wallMs = Date.parse(State.FinishedAt) - Date.parse(State.StartedAt);
  // Two programs wrote the two stamps, and they may cross by a millisecond.
  const finishedAt = wallMs < 0 ? State.StartedAt : State.FinishedAt;
  return {
    code: State.ExitCode,
    ...(signal === undefined ? {} : { signal }),
    oomKilled: State.OOMKilled || (usage?.oomKilled ?? false),
    startedAt: State.StartedAt,
    finishedAt,
    wallMs: Math.max(0, wallMs),
    ...(usage?.cpuMs === undefined ? {} : { cpuMs: usage.cpuMs }),
    ...(usage?.maxRssBytes === undefined ? {} : { maxRssBytes: usage.maxRssBytes }),
  };
}
