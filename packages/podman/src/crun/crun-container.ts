import { setTimeout as pause } from 'node:timers/promises';
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
import type { CgroupUsage } from '../container-cgroup.ts';
import { readFdFile } from '../fd-launcher.ts';
import { measureProcesses, processTree } from '../measure-processes.ts';
import { type OwnSignal, settlesWithin, signalBehind } from '../own-signals.ts';
import { PodmanAbortedError } from '../podman-errors.ts';
import { readDirectory, readFileOutput } from '../read-output.ts';
import type { AttemptFiles, ExitNote } from './attempt-files.ts';
import { forgetContainer, type Kitchen } from './chain.ts';
import { ChainWatch } from './chain-watch.ts';
import { findProcess, sendSignal } from './container-process.ts';
import { CrunFailedError } from './crun-errors.ts';
import { KILL_MS_MAX, KILL_POLL_MS } from './crun-limits.ts';
import { measureScratch } from './measure-scratch.ts';
import { openLayer } from './read-layer.ts';
import type { Layers } from './recipe.ts';

/** What is known of a container when it is taken into our hands. */
export interface CrunOrigin {
  readonly id: string;
  readonly files: AttemptFiles;
  readonly labels: ContainerLabels;
  readonly layers: Layers;
  readonly cgroup?: string;
  /** What its cgroup counted, if it has one. */
  readonly usage: () => CgroupUsage | undefined;
  /** Whether its chain was started by an earlier daemon. */
  readonly isFound: boolean;
  /** Takes the directory away. `isOver`: the chain itself said how it ended, so nothing of it lives any more. */
  readonly discard: (isOver: boolean) => Promise<void>;
}

/** A container of the fast lane. All that is true of it stands in its directory and in the kernel. */
export class CrunContainer implements RunningContainer {
  readonly labels: ContainerLabels;
  readonly replays = 'since';
  readonly #kitchen: Kitchen;
  readonly #origin: CrunOrigin;
  #watch: ChainWatch | undefined;
  #exit: Promise<ContainerExit> | undefined;
  #removed: Promise<void> | undefined;
  readonly #sent = new Set<OwnSignal>();

  constructor(kitchen: Kitchen, origin: CrunOrigin) {
    this.labels = origin.labels;
    this.#kitchen = kitchen;
    this.#origin = origin;
  }

  /** Opens the streams; before the chain is started, or when somebody wants to know of a container that was found. */
  watch(): ChainWatch {
    if (this.#watch === undefined) {
      this.#watch = new ChainWatch(this.#origin.files);
      if (this.#origin.isFound) this.#watch.lookAgain();
    }
    return this.#watch;
  }

  /** Lets the streams go; the container goes on, and a later daemon reads what is in the pipes by then. */
  letGo(): void {
    this.#watch?.close(new PodmanAbortedError('wait for a container'));
  }

  /** What is not read yet, and all that comes: an earlier daemon has had the rest. */
  replayLog(log: LogSink): void {
    this.watch().pour(log);
  }

  wait(): Promise<ContainerExit> {
    this.#exit ??= this.#follow();
    return this.#exit;
  }

  async stop(graceMs: number): Promise<void> {
    if (graceMs > 0) {
      await this.#kill('SIGTERM');
      if (await settlesWithin(this.wait(), graceMs)) return;
    }
    await this.#kill('SIGKILL');
    if (!(await settlesWithin(this.wait(), KILL_MS_MAX))) {
      throw new CrunFailedError(
        'end a container',
        `it lives ${KILL_MS_MAX / 1_000} s after SIGKILL`,
      );
    }
  }

  async readOutput(output: OutputRef): Promise<Result<AsyncIterable<OutputEntry>, OutputProblem>> {
    const { files, layers } = this.#origin;
    const open = (path: string) => openLayer(this.#kitchen, files, layers, path);
    switch (output.kind) {
      case 'fd':
        return await readFdFile(files.outputs, output.fd);
      case 'file':
        return await readFileOutput(open, output.path);
      case 'dir':
        return await readDirectory(open, output.path);
      default:
        return unreachable(output);
    }
  }

  async sample(): Promise<ContainerSample> {
    const { files, id, cgroup } = this.#origin;
    const [found, scratchBytes] = await Promise.all([
      findProcess(this.#kitchen.state, id),
      measureScratch(this.#kitchen.namespace, files),
    ]);
    const used =
      found === undefined ? {} : await measureProcesses(await processTree(found.pid), cgroup);
    return { ...used, ...(scratchBytes === undefined ? {} : { scratchBytes }) };
  }

  remove(): Promise<void> {
    this.#removed ??= this.#remove().catch((error: unknown) => {
      this.#removed = undefined;
      throw error;
    });
    return this.#removed;
  }

  async #remove(): Promise<void> {
    await this.stop(0);
    const isOver = await this.wait().then(
      () => true,
      () => false,
    );
    await this.#origin.discard(isOver);
  }

  #follow(): Promise<ContainerExit> {
    const exit = (async () => {
      const note = await this.watch().end;
      if (note === undefined) return await this.#lost();
      return this.#exitFrom(note, this.#origin.usage());
    })();
    // Whoever waits gets the error; nobody waiting is no reason to crash.
    exit.catch(() => undefined);
    return exit;
  }

  /** The chain is gone without a word: somebody killed it, or the machine restarted. */
  async #lost(): Promise<never> {
    const { id } = this.#origin;
    const found = await findProcess(this.#kitchen.state, id);
    if (found !== undefined) sendSignal(found, 'SIGKILL');
    await forgetContainer(this.#kitchen, id);
    throw new ContainerLostError(this.labels.claim, 'ended, and nobody was left to say how');
  }

  #exitFrom(note: ExitNote, usage: CgroupUsage | undefined): ContainerExit {
    const { code } = note;
    const signal = signalBehind(code, this.#sent);
    const startedMs = Math.min(this.watch().startedMs, note.finishedMs);
    const wallMs = Math.round(note.finishedMs - startedMs);
    const cpuMs = usage?.cpuMs ?? note.cpuMs;
    return {
      code,
      ...(signal === undefined ? {} : { signal }),
      oomKilled: usage?.oomKilled ?? false,
      startedAt: new Date(startedMs).toISOString(),
      finishedAt: new Date(note.finishedMs).toISOString(),
      wallMs,
      cpuMs,
      ...(usage?.maxRssBytes === undefined ? {} : { maxRssBytes: usage.maxRssBytes }),
    };
  }

  async #kill(signal: OwnSignal): Promise<void> {
    const endMs = performance.now() + KILL_MS_MAX;
    const before = this.#sent.has(signal);
    while (!this.watch().isOver) {
      const found = await findProcess(this.#kitchen.state, this.#origin.id);
      // Noted first: the exit may be known before this goes on.
      this.#sent.add(signal);
      if (found !== undefined && sendSignal(found, signal)) return;
      if (!before) this.#sent.delete(signal);
      // Just ending, or found in the middle of its start by a daemon that came back.
      if (performance.now() > endMs) return;
      await Promise.race([this.watch().end.catch(() => undefined), pause(KILL_POLL_MS)]);
    }
  }
}
