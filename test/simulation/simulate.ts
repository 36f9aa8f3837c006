import {
  applyEvent,
  type Graph,
  initialRunState,
  type Logged,
  RERUNS_PER_TASK_MAX,
  type RunEvent,
  type RunId,
  type RunState,
  runId,
} from '@podmesh/core';
import {
  CALM,
  ContainerHost,
  type ContainerScript,
  checkAllEnded,
  checkAtRest,
  checkLog,
  executionsByTask,
  FakeMesh,
  type FaultPlan,
  Random,
  type SimMachine,
  scheduleChaos,
  stormyPlan,
  type Violation,
  World,
} from '@podmesh/testkit';
import { CopyWatch } from './copy-watch.ts';
import { DrainStorm } from './drain-storm.ts';
import { randomGraph, randomScript } from './random-run.ts';
import { bootPeer } from './sim-peer.ts';
import { checkPins, type SimWeb, webGraph } from './sim-web.ts';
import { SleepStorm } from './sleep-storm.ts';
import { scheduleSpawns } from './spawn-storm.ts';

/** Faults stop after this; then everything must come to its end. */
const STORM_MS = 120_000;
/** Virtual time in which a run must have ended; days, because nobody waits for it. */
const PATIENCE_MS = 6 * 60 * 60 * 1_000;
/** Whoever is not woken by then gets up. */
const SLEEP_MS = 30 * 60 * 1_000;
/** A person looks after held tasks this often. */
const PERSON_LOOKS_MS = 10 * 60 * 1_000;
/** After the last end: drives are acknowledged, offers forgotten, containers removed. */
const SETTLE_MS = 5 * 60 * 1_000;

/** A machine on which no container can be started. */
const BROKEN: ContainerScript = () => ({
  kind: 'start-failed',
  problem: { kind: 'runtime', message: 'this machine is broken' },
});

/** Shares of attempts that fail. */
const LOSSY_FAILINGS = [0, 0.05, 0.3];

export interface Simulation {
  readonly violations: readonly Violation[];
  /** The run log as text: equal seeds must give equal logs. */
  readonly log: string;
  readonly trace: readonly string[];
  readonly calls: number;
  /** How often a task was done again because its outputs were lost. */
  readonly reruns: number;
  /** How many successes were on as many disks as were wanted when the log said so. */
  readonly copied: number;
  /** How often a machine came because another called it. */
  readonly woken: number;
}

export interface SimulationOptions {
  readonly seed: string;
  readonly peers?: number;
  readonly runs?: number;
  /** Drawn from the seed unless given. */
  readonly plan?: FaultPlan;
  readonly chaos?: number;
  /** So often a share of all artifacts is lost, besides. */
  readonly losses?: number;
  /** So many drains, besides. */
  readonly drains?: number;
  /** One machine that was drained is taken away, with its disk. */
  readonly vanish?: boolean;
  /** So often a machine falls asleep, besides; there is work for more than the one that never does. */
  readonly sleeps?: number;
  /** Runs read of it, instead of what is drawn from the seed. */
  readonly web?: SimWeb;
}

/** One world from one seed: real peers over fakes, everything that can go wrong, then the invariants. */
export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const random = new Random(options.seed);
  const plan = options.plan ?? stormyPlan(random.fork('plan'), STORM_MS);
  const world = new World({ seed: options.seed, plan });
  const mesh = new FakeMesh(world, random.fork('mesh'));
  const { web } = options;
  const isLossy = options.losses !== undefined;
  // What is done again may fail then, and what waits for it is skipped.
  const script = randomScript(random.fork('script'), isLossy ? LOSSY_FAILINGS : undefined);
  const broken = random.chance(0.15) ? 1 : 0;
  const isBulk = random.chance(0.3);
  const copies = new CopyWatch(world);
  const takeAway = (machine: SimMachine): void => {
    copies.wipe(machine);
    machine.crash({ forGood: true });
  };
  const drains = new DrainStorm(world, options.vanish === true ? takeAway : undefined);
  const sleeps = options.sleeps === undefined ? undefined : new SleepStorm(world, plan === CALM);
  const hosts: ContainerHost[] = [];
  for (let number = 1; number <= (options.peers ?? 3); number += 1) {
    const host = new ContainerHost(world, `peer${number}`, {
      script: number === broken ? BROKEN : script,
    });
    hosts.push(host);
    world
      .machine(host.name, (process, machine) =>
        bootPeer(mesh, host, {
          process,
          machine,
          web,
          ...(isBulk || options.vanish ? copies.place : {}),
          ...drains.place,
          sleeps,
        }),
      )
      .start();
  }
  const runs = options.runs ?? random.between(1, 2);
  for (let number = 0; number < runs; number += 1) publish(mesh, random.fork(`run ${number}`), web);
  if (sleeps !== undefined) {
    sleeps.schedule(options.sleeps ?? 0, SLEEP_MS);
    publishGraph(mesh, runId('sleeperwork1'), SleepStorm.graph());
  }
  if (plan !== CALM) scheduleChaos(world, mesh, options.chaos ?? random.between(0, 12));
  if (options.losses !== undefined) {
    scheduleChaos(world, mesh, options.losses, ['lose-artifacts', 'duplicate-drives']);
    if (isBulk) copies.scheduleWipes(options.losses / 4, plan.faultsUntilMs);
  }
  if (options.drains !== undefined) drains.schedule(options.drains, STORM_MS);
  scheduleSpawns(world, mesh, random.pick([0, 0, 3, 8]) ?? 0, () => foldRuns(mesh.log.entries));
  const cancelMs = isLossy ? STORM_MS : STORM_MS / 2;
  if (random.chance(0.2)) world.sometime([0, cancelMs], () => cancelFirst(mesh));

  const ended = () => checkAllEnded(mesh.log.entries).length === 0;
  await world.run(Math.max(plan.faultsUntilMs, 0));
  // Somebody looks at what is held from time to time, after the storm.
  while (!ended() && world.nowMs() < PATIENCE_MS) {
    releaseHeld(mesh);
    await world.run(Math.min(world.nowMs() + PERSON_LOOKS_MS, PATIENCE_MS), ended);
  }
  // Who sleeps still has containers of the evening before, if it fell asleep over them.
  sleeps?.wakeAll();
  await world.run(world.nowMs() + SETTLE_MS);
  const { entries } = mesh.log;
  return {
    violations: [
      ...checkAllEnded(entries),
      ...checkLog(entries),
      ...checkAtRest(mesh, hosts),
      ...checkEveryContainerHasItsFact(mesh, hosts),
      ...checkEndsAsFolded(entries),
      ...(web === undefined ? [] : checkPins(entries)),
      ...checkWorkIsBounded(entries, hosts),
      ...copies.check(entries),
      ...drains.check(entries, plan === CALM),
      ...(sleeps?.check() ?? []),
    ],
    log: entries.map((entry) => JSON.stringify(entry)).join('\n'),
    trace: world.trace,
    calls: world.callCount,
    woken: sleeps?.woken ?? 0,
    copied: entries.filter(
      ({ event }) => event.kind === 'outputs-kept' && event.short === undefined,
    ).length,
    reruns: entries.filter(({ event }) => event.kind === 'outputs-lost').length,
  };
}

/** Nothing runs without its fact: whatever was started, the log knew of it before. */
function checkEveryContainerHasItsFact(
  mesh: FakeMesh,
  hosts: readonly ContainerHost[],
): Violation[] {
  const claims = new Set(
    mesh.log.entries.flatMap(({ event }) =>
      event.kind === 'attempt-started' ? [event.claim] : [],
    ),
  );
  return [...executionsByTask(hosts)].flatMap(([task, containers]) =>
    containers
      .filter(({ spec }) => !claims.has(spec.labels.claim))
      .map(({ id }) => `container ${id} of ${task} was started without a fact`),
  );
}

/** Whoever folds the log finds all that `run-ended` says, and nothing left to do. */
function checkEndsAsFolded(entries: readonly Logged[]): Violation[] {
  return [...foldRuns(entries)].flatMap(([run, { ended, counts, unkept, unfenced }]) => {
    if (ended === undefined || ended.problem !== undefined) return [];
    const [said, folded] = [JSON.stringify(ended.counts), JSON.stringify(counts)];
    return [
      ...(said === folded ? [] : [`run ${run}: ended with ${said}, folded ${folded}`]),
      ...(unkept.size === 0 ? [] : [`run ${run}: ended with outputs that nobody keeps`]),
      ...(unfenced.size === 0 ? [] : [`run ${run}: ended with tasks that could still start`]),
    ];
  });
}

/** However often everything is lost, a task is done so often and no more. */
function checkWorkIsBounded(
  entries: readonly Logged[],
  hosts: readonly ContainerHost[],
): Violation[] {
  const failed = new Map<string, number>();
  for (const { event } of entries) {
    if (event.kind !== 'attempt-failed' && event.kind !== 'attempt-lost') continue;
    const key = `${event.run} ${event.task}`;
    failed.set(key, (failed.get(key) ?? 0) + 1);
  }
  return [...executionsByTask(hosts)].flatMap(([task, containers]) => {
    // A start whose answer was lost is asked for again: of one attempt there may be several.
    const { size } = new Set(containers.map(({ spec }) => spec.labels.claim));
    const most = 1 + RERUNS_PER_TASK_MAX + (failed.get(task) ?? 0);
    return size <= most ? [] : [`task ${task} was run ${size} times, which is over ${most}`];
  });
}

function publish(mesh: FakeMesh, random: Random, web: SimWeb | undefined): void {
  const graph = web === undefined ? randomGraph(random) : webGraph();
  publishGraph(mesh, runId(random.letters(12)), graph);
}

/** A run of this graph, and its drive. */
export function publishGraph(mesh: FakeMesh, run: RunId, graph: Graph): void {
  const event: RunEvent = {
    kind: 'run-published',
    run,
    graph: { kind: 'inline', graph },
    taskCount: graph.jobs.reduce((sum, job) => sum + (job.count ?? 1), 0),
    publisher: 'simulator',
  };
  mesh.log.append(event, 0);
  mesh.drives.publish(run);
}

/** What `podmesh release` does, for all that is held. */
function releaseHeld(mesh: FakeMesh): void {
  for (const [run, state] of foldRuns(mesh.log.entries)) {
    for (const task of state.held) {
      const now = state.tasks[task];
      if (now?.kind !== 'held') continue;
      const id = state.index.idOf(task);
      mesh.log.append({ kind: 'task-released', run, task: id, by: 'simulator' }, now.sequence);
    }
  }
}

function foldRuns(entries: readonly Logged[]): ReadonlyMap<RunId, RunState> {
  const states = new Map<RunId, RunState>();
  for (const entry of entries) {
    const { event } = entry;
    if (event.kind === 'run-published' && event.graph.kind === 'inline') {
      states.set(event.run, initialRunState(event.graph.graph));
    }
    const state = states.get(event.run);
    if (state !== undefined) applyEvent(state, entry);
  }
  return states;
}

function cancelFirst(mesh: FakeMesh): void {
  const first = mesh.log.entries[0]?.event;
  if (first === undefined) return;
  const { run } = first;
  mesh.log.append({ kind: 'run-cancel-requested', run, by: 'simulator', reason: 'chance' }, 0);
}
