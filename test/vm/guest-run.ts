import type { RunRecord, RuntimeName, TaskRecord } from '@podmesh/core';
import { shell } from '../process-kit/busybox-graph.ts';
import type { Said } from '../process-kit/command-line.ts';
import { BUSYBOX } from '../process-kit/podman-containers.ts';
import type { VirtualMachine } from './virtual-machine.ts';

/** The exit code of a command that reached no mesh, and began nothing. */
const NO_MESH = 3;
const TRIES = 3;

/** One task: a script in the busybox image, whose standard output is its result. */
export interface GuestTask {
  readonly runtime: RuntimeName;
  readonly needs: { readonly cpus: number; readonly memory: string };
  readonly script: readonly string[];
}

/** How it ended, and what it wrote if it succeeded. */
export interface GuestResult {
  readonly run: RunRecord;
  readonly task: TaskRecord;
  readonly report: string;
}

/** Publishes it with the command line, as a run of its own, and waits for the end. */
export async function runTask(machine: VirtualMachine, task: GuestTask): Promise<GuestResult> {
  const { runtime, needs, script } = task;
  const job = {
    id: 'task',
    container: BUSYBOX,
    command: shell(...script),
    outputs: { report: 'fd:1' },
    // More memory and another try would only hide what is looked for.
    retries: { 'oom-task': 0 },
    timeout: '2m',
    cache: false,
    runtime,
    needs,
  };
  const graph = JSON.stringify({ version: 1, jobs: [job] });
  const said = await publish(machine, graph);
  if (said.code !== 0 && said.code !== 1) throw new Error(`podmesh run: ${said.err}${said.out}`);
  const run = (await machine.tellJson('show', 'last')) as RunRecord;
  const [only] = run.tasks;
  if (only === undefined) throw new Error(`a run without a task: ${JSON.stringify(run)}`);
  return { run, task: only, report: await reportOf(machine, only) };
}

/** A server of an emulated machine may answer too late; whoever reads so types the command again. */
async function publish(machine: VirtualMachine, graph: string): Promise<Said> {
  for (let triesLeft = TRIES; ; triesLeft -= 1) {
    const said = await machine.podmesh(['run', '-', '--json'], graph);
    if (said.code !== NO_MESH || triesLeft <= 1) return said;
  }
}

async function reportOf(machine: VirtualMachine, task: TaskRecord): Promise<string> {
  if (task.state !== 'succeeded') return '';
  const fetched = await machine.podmesh(['get', 'last/task/report', '-o', '-']);
  if (fetched.code !== 0) throw new Error(`podmesh get: ${fetched.err}`);
  return fetched.out;
}

/** The figures of a report of lines such as `pids.max 4096`. */
export function figuresOf(report: string): Readonly<Record<string, string>> {
  const lines = report.trim().split('\n');
  return Object.fromEntries(
    lines.map((line) => {
      const [name = '', ...rest] = line.split(' ');
      return [name, rest.join(' ')];
    }),
  );
}
