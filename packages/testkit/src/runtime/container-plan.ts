import {
  type ContainerLabels,
  type ContainerSample,
  type ContainerSpec,
  type OutputRef,
  type StartProblem,
  unreachable,
} from '@podmesh/core';

/** How one container goes. */
export type ContainerPlan =
  | { readonly kind: 'start-failed'; readonly problem: StartProblem }
  | ContainerLife;

export interface ContainerLife {
  readonly kind: 'runs';
  /** Absent: until it is stopped. */
  readonly durationMs?: number;
  /** 0 unless given. */
  readonly code?: number;
  readonly oomKilled?: boolean;
  /** What it uses while it runs. */
  readonly sample?: ContainerSample;
  /** Only SIGKILL ends it before its time. */
  readonly ignoresTerm?: boolean;
  readonly stdout?: string;
  readonly stderr?: string;
  /** By path, or `fd:<n>`; replaces the output that the fake makes up. `undefined`: it is missing. */
  readonly outputs?: Readonly<Record<string, FakeOutput | undefined>>;
}

/** What is left at a declared output. */
export type FakeOutput =
  | { readonly kind: 'file'; readonly text: string; readonly executable?: boolean }
  | { readonly kind: 'dir'; readonly entries: readonly FakeEntry[] };

/** An entry of a directory output; parents stand before their children. */
export type FakeEntry =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly text: string;
      readonly executable?: boolean;
    }
  | { readonly kind: 'dir'; readonly path: string }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string };

/** Decides how the container of this task and attempt goes; pure, so that a second try looks the same. */
export type ContainerScript = (spec: ContainerSpec) => ContainerPlan;

/** Every container succeeds after 50 to 2,050 ms that depend on its task. */
export const SUCCEEDING: ContainerScript = (spec) => ({
  kind: 'runs',
  durationMs: 50 + (textNumber(spec.labels.task) % 2_000),
});

/** What a container leaves at an output that its plan does not mention: depends on its task only. */
export function madeUpOutput(labels: ContainerLabels, output: OutputRef): FakeOutput {
  const text = `${labels.task} wrote ${outputKey(output)}\n`.repeat(3);
  if (output.kind !== 'dir') return { kind: 'file', text };
  return {
    kind: 'dir',
    entries: [
      { kind: 'file', path: 'a.txt', text },
      { kind: 'dir', path: 'sub' },
      { kind: 'file', path: 'sub/run.sh', text: `echo ${labels.task}\n`, executable: true },
      { kind: 'symlink', path: 'sub/link', target: '../a.txt' },
    ],
  };
}

/** Under which name a plan speaks of an output. */
export function outputKey(output: OutputRef): string {
  switch (output.kind) {
    case 'file':
    case 'dir':
      return output.path;
    case 'fd':
      return `fd:${output.fd}`;
    default:
      return unreachable(output);
  }
}

function textNumber(text: string): number {
  let value = 7;
  for (const letter of text) value = (value * 31 + letter.charCodeAt(0)) % 1_000_003;
  return value;
}
