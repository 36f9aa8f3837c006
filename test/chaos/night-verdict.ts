import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  type ArtifactId,
  applyEvent,
  buildRecord,
  FAILURE_POLICIES,
  type FailureKind,
  type Graph,
  initialRunState,
  LEASE_MS,
  type RunRecord,
} from '@podmesh/core';
import { systemClock } from '@podmesh/daemon';
import { loadGraph, type Mesh } from '@podmesh/jetstream';
import { untilNoTraces } from '../process-kit/attempt-traces.ts';
import { findContainers } from '../process-kit/podman-containers.ts';
import type { PublishedRun } from '../process-kit/published-run.ts';
import { within } from '../process-kit/within.ts';
import type { NightMachine } from './night-machine.ts';
import type { NightStorm } from './night-storm.ts';

const REST_MS = 300_000;
const LOOK_MS = 300;
/** A claim may end so long after its peer went, and an election so long after its server. */
const AFTERMATH_MS = 2 * LEASE_MS + 15_000;

/** Attempts that did not succeed and that no fault of the night explains, each in words. */
export function unexplained(
  run: PublishedRun,
  storm: NightStorm,
  anchors: readonly NightMachine[],
): readonly string[] {
  const wrong: string[] = [];
  const roleOf = (name: string): string => name.split('-')[0] ?? '';
  for (const { event, at } of run.facts) {
    if (event.kind !== 'attempt-failed' && event.kind !== 'attempt-lost') continue;
    const kind: FailureKind = event.kind === 'attempt-failed' ? event.failure.kind : 'peer-lost';
    const why = event.kind === 'attempt-failed' ? event.failure.message : '';
    const started = run
      .of('attempt-started')
      .find((fact) => fact.event.task === event.task && fact.event.attempt === event.attempt);
    const peer = started?.event.peer ?? '';
    const hit = [roleOf(peer), ...anchors.map(({ role }) => role)];
    const isExplained = hit.some((role) => storm.explains(role, Date.parse(at), AFTERMATH_MS));
    const isOurs = FAILURE_POLICIES[kind].charges === 'task' || kind === 'internal';
    if (isOurs || !isExplained)
      wrong.push(`${event.task} attempt ${event.attempt} on ${peer} at ${at}: ${kind} ${why}`);
  }
  return wrong;
}

/** The record that the facts fold to, as one would read it from any peer. */
export async function foldedRecord(mesh: Mesh, run: PublishedRun): Promise<RunRecord> {
  const [first] = run.of('run-published');
  const [end] = run.of('run-ended').slice(-1);
  if (first === undefined || end === undefined) throw new Error(`no whole run: ${run.told()}`);
  const graph: Graph = await loadGraph(mesh.artifacts, first.event);
  const state = initialRunState(graph);
  for (const fact of run.facts) applyEvent(state, fact);
  const record = buildRecord(first.event, state, { published: first.at, ended: end.at });
  return JSON.parse(JSON.stringify(record)) as RunRecord;
}

/** What the machine itself tells of the run. */
export async function recordOn(machine: NightMachine, { run }: PublishedRun): Promise<RunRecord> {
  return JSON.parse(await machine.well('show', run, '--json')) as RunRecord;
}

/** Digests that nobody gives, or whose bytes are others. */
export async function irretrievable(
  mesh: Mesh,
  digests: readonly ArtifactId[],
): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const digest of new Set(digests)) {
    try {
      const hash = createHash('sha256');
      for await (const piece of mesh.everywhere.get(digest)) hash.update(piece);
      const found = `sha256:${hash.digest('hex')}`;
      if (digest !== found) wrong.push(`${digest} has the bytes of ${found}`);
    } catch (error) {
      wrong.push(`${digest}: ${error}`);
    }
  }
  return wrong;
}

/** Resolves when nothing is queued or claimed any more, and no container of the run is left on any machine. */
export async function untilAtRest(
  mesh: Mesh,
  { run }: PublishedRun,
  survivors: readonly NightMachine[],
): Promise<void> {
  let left = '';
  let given = false;
  const look = async (): Promise<void> => {
    while (!given) {
      left = await restless(mesh, run).catch(String);
      if (left === '') return;
      await systemClock.sleep(LOOK_MS);
    }
  };
  await within(REST_MS, () => `the mesh to be at rest; it has ${left}`, look()).finally(() => {
    given = true;
  });
  for (const machine of survivors) await untilNoTraces(machine.at('.'), machine.name);
}

async function restless(mesh: Mesh, run: PublishedRun['run']): Promise<string> {
  const { offers, drives } = await mesh.queueDepths();
  const entries = await mesh.peers.list();
  const claims = entries.flatMap(({ peer, claims: own }) => own.map((claim) => ({ peer, claim })));
  const containers = await findContainers({ run });
  if (offers + drives + claims.length + containers.length === 0) return '';
  return JSON.stringify({ offers, drives, claims, containers });
}

/** Lines of a machine's own log that speak of something worse than a warning. */
export async function errorsOf(machine: NightMachine): Promise<readonly string[]> {
  const text = await readFile(machine.at('daemon.log'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => /"level":[56]0/.test(line))
    .map((line) => `${machine.name}: ${line.slice(0, 400)}`);
}
