import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunningContainer } from '@podmesh/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { collect, openTestbed, type Testbed } from './container-testbed.test-kit.ts';
import { answers } from './podman-process.ts';
import { PodmanRuntime } from './podman-runtime.ts';
import { PodmanService, type ServiceNote } from './podman-service.ts';

let bed: Testbed;
beforeEach(async () => {
  bed = await openTestbed();
});
afterEach(() => bed.close());

const servicePid = async (directory: string) =>
  Number(await readFile(join(directory, 'podman.pid'), 'utf8'));
/** The user's own socket is found through this variable by us, and not needed by Podman's service. */
const NO_SOCKETS = (env: NodeJS.ProcessEnv) => ({ ...env, CONTAINER_HOST: undefined });

describe('a service of our own', () => {
  it('is started, started again when it is killed, and ended', async () => {
    const directory = join(bed.directory, 'own');
    const notes: ServiceNote['kind'][] = [];
    let restarted = () => {};
    const again = new Promise<void>((resolve) => {
      restarted = resolve;
    });
    const service = new PodmanService({
      env: NO_SOCKETS(process.env),
      directory,
      onNote: (note) => {
        notes.push(note.kind);
        if (note.kind === 'service-restarted') restarted();
      },
    });
    await service.stop();
    await Promise.all([service.start(), service.start()]);
    const { socketPath } = service;
    process.kill(-(await servicePid(directory)), 'SIGKILL');
    await again;
    expect(await answers(socketPath)).toBe(true);
    expect(notes).toEqual(['service-died', 'service-restarted']);
    await service.stop();
    await service.stop();
    expect(await answers(socketPath)).toBe(false);
  });

  it('is taken over from a daemon that was killed, and ended by the one that took it over', async () => {
    const directory = join(bed.directory, 'own');
    const options = { env: NO_SOCKETS(process.env), directory };
    const first = new PodmanService(options);
    await first.start();
    const pid = await servicePid(directory);
    const second = new PodmanService(options);
    await second.start();
    expect(await servicePid(directory)).toBe(pid);
    await second.stop();
    expect(await answers(first.socketPath)).toBe(false);
    await first.stop();
  });

  it('says what to do when there is no podman', async () => {
    const service = new PodmanService({
      env: NO_SOCKETS(process.env),
      directory: join(bed.directory, 'own'),
      podman: '/nonexistent/podman',
    });
    await expect(service.start()).rejects.toThrow(/could not be run[\s\S]*podmesh doctor/);
    await service.stop();
  });

  it('insists on a socket that a person named', async () => {
    const env = { PODMESH_PODMAN_SOCKET: '/nonexistent/podman.sock' };
    const service = new PodmanService({ env, directory: bed.directory });
    await expect(service.start()).rejects.toThrow(/PODMESH_PODMAN_SOCKET names/);
  });
});

describe('when the service dies under a running container', () => {
  it('loses no output, doubles none, and learns the exit', async () => {
    const directory = join(bed.directory, 'own');
    const service = new PodmanService({ env: NO_SOCKETS(process.env), directory });
    await service.start();
    const runtime = new PodmanRuntime({ socketPath: service.socketPath });
    const log = collect();
    let some = () => {};
    const seen = new Promise<void>((resolve) => {
      some = resolve;
    });
    const command = ['/bin/sh', '-c', 'for i in $(seq 200); do echo $i; sleep 0.01; done; exit 5'];
    const started = await runtime.start(
      await bed.spec({ command }),
      (stream, bytes) => {
        log.sink(stream, bytes);
        some();
      },
      new AbortController().signal,
    );
    if (!started.ok) throw new Error(started.error.message);
    await seen;
    process.kill(-(await servicePid(directory)), 'SIGKILL');
    expect((await started.value.wait()).code).toBe(5);
    expect(log.out()).toBe(`${Array.from({ length: 200 }, (_, i) => i + 1).join('\n')}\n`);
    await started.value.remove();
    runtime.close();
    await service.stop();
  });
});

describe('containers of a killed daemon', () => {
  const adopt = async (): Promise<RunningContainer> => {
    const other = new PodmanRuntime({ socketPath: bed.service.socketPath });
    const [found, ...more] = await other.leftovers(bed.peer);
    expect(more).toEqual([]);
    if (found === undefined) throw new Error('nothing was left over');
    return found;
  };

  it('are found whatever their state, with log, outputs and exit', async () => {
    const spec = await bed.spec({
      command: ['/bin/sh', '-c', 'echo out; echo err >&2; echo data >&3; echo f >/tmp/f; exit 4'],
      outputs: { three: { kind: 'fd', fd: 3 } },
    });
    const started = await bed.runtime.start(spec, () => undefined, new AbortController().signal);
    if (!started.ok) throw new Error(started.error.message);
    const container = await adopt();
    expect(container.labels).toEqual(spec.labels);
    const log = collect();
    container.replayLog(log.sink);
    const exit = await container.wait();
    expect(exit).toMatchObject({ code: 4 });
    const original = await started.value.wait();
    expect(exit.startedAt).toBe(original.startedAt);
    expect({ out: log.out(), err: log.err() }).toEqual({ out: 'out\n', err: 'err\n' });
    for (const output of [
      { kind: 'fd', fd: 3 } as const,
      { kind: 'file', path: '/tmp/f' } as const,
    ]) {
      expect((await container.readOutput(output)).ok).toBe(true);
    }
    await container.remove();
  });

  it('can be stopped, and ones that never started say so', async () => {
    await bed.start({ command: ['sleep', '1000'] });
    const running = await adopt();
    await running.stop(0);
    expect(await running.wait()).toMatchObject({ code: 137, signal: 'SIGKILL' });
    await running.remove();
    const labels = ['run=testrun00001', 'task=a', 'attempt=1', `peer=${bed.peer}`, 'claim=c'];
    await bed.podman(
      ...['create', '--network', 'none'],
      ...labels.flatMap((label) => ['--label', `podmesh.${label}`]),
      ...[bed.image, 'true'],
    );
    const created = await adopt();
    await expect(created.wait()).rejects.toThrow('never started');
    await created.stop(1_000);
    await created.remove();
  });
});
