import {
  type ContainerExit,
  type ContainerRuntime,
  type ContainerSpec,
  claimId,
  type LogSink,
  type PeerId,
  type RunningContainer,
} from '@podmesh/core';
import { freshRun, SMALL, sampleTask } from '../samples.ts';

/** Commands of the test image, so that the suite does not depend on what is in it. */
export interface ContainerCommands {
  exits(code: number): readonly string[];
  /** Writes both texts, in this order, then exits with 0. */
  prints(stdout: string, stderr: string): readonly string[];
  /** Copies a file (or directory) to a path inside of the container. */
  copies(from: string, to: string): readonly string[];
  /** Makes, at `path`, a directory with `a.txt` ("a\n"), an executable `sub/run` ("run\n") and a link `sub/link` to `../a.txt`. */
  fills(path: string): readonly string[];
  /** Writes the text to the file descriptor. */
  writesTo(fd: number, text: string): readonly string[];
  /** Prints "ready\n" and runs until it gets SIGTERM, of which it dies. */
  waits(): readonly string[];
  /** The same, but SIGTERM does nothing. */
  waitsDeafly(): readonly string[];
}

/** What one test of a container runtime works on. */
export interface RuntimeBench {
  readonly runtime: ContainerRuntime;
  /** The same containers seen by a daemon that was started again. */
  restarted(): Promise<ContainerRuntime>;
  /** A reference to the test image, which is there without pulling. */
  readonly image: string;
  readonly commands: ContainerCommands;
  /** Nobody else's on this machine. */
  readonly peer: PeerId;
  /** A fresh private directory on the host. */
  scratchDir(): Promise<string>;
  /** The path of a host file with this text. */
  inputFile(text: string): Promise<string>;
  dispose(): Promise<void>;
  /** Of a log, a restarted daemon gets only what nobody has read before; absent where it gets all. */
  readonly replays?: 'since';
  /** Lets virtual time pass; absent where time is real. */
  readonly advance?: (ms: number) => Promise<void>;
}

export type UseRuntime = () => RuntimeBench;

/** Waits for the end; virtual time passes meanwhile. */
export async function ended(
  bench: RuntimeBench,
  container: RunningContainer,
): Promise<ContainerExit> {
  return passed(bench, 5_000, container.wait());
}

/** The answer to something during which `ms` of virtual time pass. */
export async function passed<T>(bench: RuntimeBench, ms: number, answer: Promise<T>): Promise<T> {
  await bench.advance?.(ms);
  return answer;
}

/** A container of the bench's peer, its output so far, and when it first printed something. */
export async function startContainer(
  bench: RuntimeBench,
  command: readonly string[],
  more: Partial<ContainerSpec> = {},
) {
  const spec = await specOf(bench, command, more);
  const log = collectLog();
  const started = await bench.runtime.start(spec, log.sink, new AbortController().signal);
  if (!started.ok) throw new Error(`${started.error.kind}: ${started.error.message}`);
  return { container: started.value, spec, printed: log.printed, ready: log.ready };
}

/** What a sink got, as text. */
export function collectLog() {
  const printed = { stdout: '', stderr: '' };
  let tell: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const sink: LogSink = (stream, bytes) => {
    printed[stream] += decoders[stream].decode(bytes, { stream: true });
    tell();
  };
  return { printed, ready, sink };
}

async function specOf(
  bench: RuntimeBench,
  command: readonly string[],
  more: Partial<ContainerSpec>,
): Promise<ContainerSpec> {
  const image = await bench.runtime.resolveImage(bench.image, false, new AbortController().signal);
  if (!image.ok) throw new Error(image.error.message);
  const run = freshRun();
  const labels = { run, task: sampleTask(), attempt: 1, peer: bench.peer, claim: claimId(run) };
  return {
    labels,
    image: image.value,
    command,
    env: {},
    inputs: {},
    outputs: {},
    net: false,
    requirements: SMALL,
    scratchDir: await bench.scratchDir(),
    ...more,
  };
}
