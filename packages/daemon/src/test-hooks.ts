import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { cpus, totalmem, uptime } from 'node:os';
import { join } from 'node:path';
import {
  AUTO_ANCHORS_PATIENCE,
  type AutoAnchorsPatience,
  type OwnerFacts,
  type OwnerSources,
  ok,
  type Result,
  refused,
} from '@podmesh/core';
import type { MachineSize } from './configuration.ts';
import { ATTEMPT_STEPS, type AttemptStep } from './execute/attempt-step.ts';
import type { HostMeasures } from './machine/host-guard.ts';

const HOST_LETTERS = 16;

/** What only tests may ask of the program, by its environment; told in the README. */

/** `PODMESH_KILL_AT`: the step of an attempt at which this process ends itself. */
export function parseKillStep(env: NodeJS.ProcessEnv): Result<AttemptStep | undefined, string> {
  const wanted = env.PODMESH_KILL_AT;
  if (!wanted) return ok(undefined);
  const step = ATTEMPT_STEPS.find((known) => known === wanted);
  if (step !== undefined) return ok(step);
  return refused(`PODMESH_KILL_AT=${wanted}: give one of ${ATTEMPT_STEPS.join(', ')}`);
}

/** Ends this process with SIGKILL when that step is reached: once in the life of a home, not at every start. */
export function killOnceAt(step: AttemptStep, home: string): (reached: AttemptStep) => void {
  const mark = join(home, `killed-at-${step}`);
  return (reached) => {
    if (reached !== step || existsSync(mark)) return;
    writeFileSync(mark, '');
    process.kill(process.pid, 'SIGKILL');
  };
}

/**
 * `PODMESH_KILL_MOVE_AT`, `PODMESH_KILL_EXCHANGE_AT` and `PODMESH_KILL_GATHER_AT`: the steps, with commas, of a change of anchors at which this process
 * ends itself, once at each.
 */
export function killChangeAt(
  change: 'move' | 'exchange' | 'gather' | 'rescue',
  env: NodeJS.ProcessEnv,
  home: string,
): (reached: string) => void {
  const steps = (env[`PODMESH_KILL_${change.toUpperCase()}_AT`] ?? '').split(',');
  return (reached) => {
    const mark = join(home, `killed-at-${change}-${reached}`);
    if (!steps.includes(reached) || existsSync(mark)) return;
    writeFileSync(mark, '');
    process.kill(process.pid, 'SIGKILL');
  };
}

/** `PODMESH_AUTO_ANCHORS_MS`: how long something must have been so before anchors are taken by themselves. */
export function autoPatience(env: NodeJS.ProcessEnv): AutoAnchorsPatience {
  const ms = Number(env.PODMESH_AUTO_ANCHORS_MS);
  return ms > 0
    ? { steadyMs: ms, silentMs: ms, gapMs: Math.max(ms, AUTO_ANCHORS_PATIENCE.gapMs) }
    : AUTO_ANCHORS_PATIENCE;
}

/** `PODMESH_PRETEND_UPTIME`: seconds that the machine has been up, where it has not been so for long. */
export function machineUptime(env: NodeJS.ProcessEnv): number {
  const pretended = Number(env.PODMESH_PRETEND_UPTIME);
  return pretended > 0 ? pretended : Math.floor(uptime());
}

/** `PODMESH_PRETEND_CORES`: lets a test have more slots than the machine that it happens to run on has cores. */
export function machineSize(env: NodeJS.ProcessEnv): MachineSize {
  const pretended = Number(env.PODMESH_PRETEND_CORES);
  return { cores: pretended > 0 ? pretended : cpus().length, memoryBytes: totalmem() };
}

/** `PODMESH_PRETEND_HOST`: lets daemons on one machine count as such on several, where copies are to be apart. */
export function hostOf(bootId: string, env: NodeJS.ProcessEnv): string {
  const pretended = env.PODMESH_PRETEND_HOST;
  const told = pretended ? `pretended ${pretended}` : bootId;
  return createHash('sha256').update(told).digest('hex').slice(0, HOST_LETTERS);
}

/** `PODMESH_PRETEND_OWNER`: a file with the facts that a test changes, where a machine has no battery and nobody at it. */
export function pretendFacts(sources: OwnerSources, env: NodeJS.ProcessEnv): OwnerSources {
  const file = env.PODMESH_PRETEND_OWNER;
  if (!file) return sources;
  const pretended = async () => JSON.parse(await readFile(file, 'utf8')) as Partial<OwnerFacts>;
  return {
    power: async () => (await pretended()).power ?? (await sources.power()),
    use: async () => (await pretended()).use ?? (await sources.use()),
    network: async () => (await pretended()).network ?? (await sources.network()),
    load: async () => (await pretended()).load ?? (await sources.load()),
    heat: async () => (await pretended()).heat ?? (await sources.heat()),
    time: () => sources.time(),
  };
}

/** What is pretended of the machine; a member that is absent is measured. */
interface PretendedMachine {
  readonly availableBytes?: number;
  readonly freeDiskBytes?: number;
}

/** `PODMESH_PRETEND_MACHINE`: a file that a test changes to bring a machine into distress that has none. */
export function pretendMeasures(measures: HostMeasures, env: NodeJS.ProcessEnv): HostMeasures {
  const file = env.PODMESH_PRETEND_MACHINE;
  if (!file) return measures;
  const pretended = async () => JSON.parse(await readFile(file, 'utf8')) as PretendedMachine;
  return {
    ...measures,
    memory: async () => {
      const { availableBytes } = await pretended();
      const reading = await measures.memory();
      return availableBytes === undefined ? reading : { ...reading, availableBytes };
    },
    freeDiskBytes: async () =>
      (await pretended()).freeDiskBytes ?? (await measures.freeDiskBytes()),
  };
}
