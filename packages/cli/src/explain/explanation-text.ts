import type { Requirements } from '@podmesh/core';
import { alignColumns } from '../render/align-columns.ts';
import { bytesText } from '../render/amounts.ts';
import { lastLines } from '../render/run-summary.ts';
import type { RunExplanation } from './explain-run.ts';
import type { TaskExplanation } from './explain-task.ts';
import type { PeerVerdict } from './judge-peers.ts';
import { placementText } from './placement-text.ts';

const PEERS_SHOWN = 20;
const ATTEMPTS_SHOWN = 10;
const STDERR_LINES_SHOWN = 20;

/** A task's explanation for people. */
export function taskExplanationText(explained: TaskExplanation): readonly string[] {
  const { task, state, summary, waitingFor, requirements, peers, failure, advice } = explained;
  const tail = lastLines(failure?.stderrTail ?? '', STDERR_LINES_SHOWN);
  return [
    `${task} is ${state}${explained.spawnedBy === undefined ? '' : `, a sub-task spawned by ${explained.spawnedBy}`}`,
    `  ${summary}`,
    ...(failure === undefined ? [] : [`  ${failure.kind}: ${failure.message}`]),
    ...(tail.length === 0 ? [] : ['the end of its standard error:', ...tail.map(indent)]),
    ...(waitingFor === undefined || waitingFor.length === 0
      ? []
      : ['waits for:', ...alignColumns(waitingFor.map((one) => [`  ${one.task}`, one.progress]))]),
    ...(requirements === undefined ? [] : [`needs: ${requirementsText(requirements)}`]),
    ...(peers === undefined || peers.length === 0 ? [] : ['peers:', ...peerLines(peers)]),
    ...attemptLines(explained),
    ...adviceLines(advice),
  ];
}

/** A run's explanation for people. */
export function runExplanationText(explained: RunExplanation): readonly string[] {
  const { run, state, summary, counts, driveQueued, peers, ready, failed, held, advice } =
    explained;
  const numbers = Object.entries(counts).filter(([, count]) => count > 0);
  return [
    `run ${run} is ${state}`,
    `  ${summary}`,
    `tasks: ${numbers.map(([name, count]) => `${count} ${name}`).join(', ')}`,
    `peers: ${peers}; drive ${driveQueued ? 'queued or claimed' : 'not queued'}`,
    ...ready.map(
      ({ count, example, requirements, peers: verdicts }) =>
        `${count} ready like ${example} (${requirementsText(requirements)}): ${placementText(verdicts)}`,
    ),
    ...(failed.length === 0 ? [] : [`failed: ${failed.join(', ')}`]),
    ...(held.length === 0 ? [] : [`held: ${held.join(', ')}`]),
    ...adviceLines(advice),
  ];
}

/** `1 core, 256 MiB memory, amd64, label disk=ssd`. */
export function requirementsText(requirements: Requirements): string {
  const { cpus, memoryBytes, diskBytes, gpus, arch, labels, runtime } = requirements;
  return [
    `${cpus} ${cpus === 1 ? 'core' : 'cores'}`,
    `${bytesText(memoryBytes)} memory`,
    ...(diskBytes > 0 ? [`${bytesText(diskBytes)} disk`] : []),
    ...(gpus > 0 ? [`${gpus} GPU${gpus === 1 ? '' : 's'}`] : []),
    ...(arch === undefined ? [] : [arch]),
    ...labels.map((label) => `label ${label}`),
    ...(runtime === undefined ? [] : [`runtime ${runtime}`]),
  ].join(', ');
}

function peerLines(peers: readonly PeerVerdict[]): readonly string[] {
  const rows = peers
    .slice(0, PEERS_SHOWN)
    .map(({ peer, verdict, because }) => [`  ${peer}`, verdict, because.join('; ')]);
  const more = peers.length - rows.length;
  return [...alignColumns(rows), ...(more > 0 ? [`  and ${more} more`] : [])];
}

function attemptLines({ attempts }: TaskExplanation): readonly string[] {
  if (attempts.length === 0) return [];
  const rows = attempts
    .slice(-ATTEMPTS_SHOWN)
    .map(({ attempt, peer, startedAt, outcome, message }) => [
      `  ${attempt}`,
      peer,
      startedAt,
      outcome,
      message ?? '',
    ]);
  return ['attempts:', ...alignColumns(rows)];
}

function adviceLines(advice: readonly string[]): readonly string[] {
  return advice.length === 0 ? [] : ['what you can do:', ...advice.map(indent)];
}

const indent = (line: string): string => `  ${line}`;
