import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSpec, RunningContainer } from '@podmesh/core';
import { collect, openTestbed, type Testbed } from '../container-testbed.test-kit.ts';
import { CrunRuntime } from './crun-runtime.ts';

/** The testbed of both lanes: Podman's, and a fast lane beside it. */
export interface CrunTestbed {
  readonly podman: Testbed;
  readonly crun: CrunRuntime;
  /** Of the fast lane. */
  readonly directory: string;
  /** The same containers for a daemon that was started again; the one before lets them go. */
  restart(): Promise<CrunRuntime>;
  start(
    changes?: Partial<ContainerSpec>,
    log?: Parameters<CrunRuntime['start']>[1],
  ): Promise<RunningContainer>;
  run(changes?: Partial<ContainerSpec>): ReturnType<Testbed['run']>;
  close(): Promise<void>;
}

/** Must run as an unprivileged user: `scripts/rootless npx vitest run …` when you are root. */
export async function openCrunTestbed(): Promise<CrunTestbed> {
  const podman = await openTestbed();
  const directory = join(podman.directory, 'crun');
  await mkdir(directory);
  const open = () => CrunRuntime.open(podman.runtime, { env: process.env, directory });
  let crun = await open();
  const start: CrunTestbed['start'] = async (changes = {}, log = () => undefined) => {
    const spec = await podman.spec(changes);
    const started = await crun.start(insisting(spec), log, new AbortController().signal);
    if (!started.ok) throw new Error(`${started.error.kind}: ${started.error.message}`);
    return started.value;
  };
  return {
    podman,
    directory,
    get crun() {
      return crun;
    },
    restart: async () => {
      await crun.close();
      crun = await open();
      return crun;
    },
    start,
    run: async (changes = {}) => {
      const log = collect();
      const container = await start(changes, log.sink);
      const exit = await container.wait();
      await container.remove();
      return { exit, out: log.out(), err: log.err() };
    },
    close: async () => {
      for (const left of await crun.leftovers(podman.peer)) await left.remove();
      await crun.close();
      await podman.close();
    },
  };
}

/** What is tested must not pass because Podman did it. */
export function insisting(spec: ContainerSpec): ContainerSpec {
  return spec.net ? spec : { ...spec, requirements: { ...spec.requirements, runtime: 'crun' } };
}
