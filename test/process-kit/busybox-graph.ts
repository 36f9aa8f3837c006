import { type Graph, parseGraph } from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import { BUSYBOX } from './podman-containers.ts';

/** A graph of these jobs, each a shell script in the busybox image unless it says otherwise. */
export function busyboxGraph(jobs: readonly object[]): Graph {
  const complete = jobs.map((job) => ({ container: BUSYBOX, ...job }));
  const graph = parseGraph({ version: 1, jobs: complete }, sha256);
  if (!graph.ok) throw new Error(`the test's own graph is wrong: ${JSON.stringify(graph.error)}`);
  return graph.value;
}

export const shell = (...lines: readonly string[]): readonly string[] => [
  '/bin/sh',
  '-c',
  lines.join('\n'),
];
