import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContainerCommands, describeContainerRuntime } from '@podmesh/testkit/conformance';
import { openTestbed } from './container-testbed.test-kit.ts';
import { PodmanRuntime } from './podman-runtime.ts';

const sh = (script: string, ...args: string[]) => ['/bin/sh', '-c', script, 'sh', ...args];

const commands: ContainerCommands = {
  exits: (code) => sh(`exit ${code}`),
  prints: (stdout, stderr) => sh('printf %s "$1"; printf %s "$2" >&2', stdout, stderr),
  copies: (from, to) => ['cp', '-r', from, to],
  fills: (path) =>
    sh(
      'mkdir -p "$1/sub"; echo a >"$1/a.txt"; echo run >"$1/sub/run"; chmod +x "$1/sub/run"; ' +
        'ln -s ../a.txt "$1/sub/link"',
      path,
    ),
  writesTo: (fd, text) => sh(`printf %s "$1" >&${fd}`, text),
  waits: () => sh('trap "exit 143" TERM; echo ready; while :; do sleep 0.02; done'),
  waitsDeafly: () => sh('trap "" TERM; echo ready; while :; do sleep 1; done'),
};

describeContainerRuntime('PodmanRuntime', async () => {
  const bed = await openTestbed();
  const restarted: PodmanRuntime[] = [];
  let count = 0;
  const fresh = (name: string) => join(bed.directory, `${name}-${++count}`);
  return {
    runtime: bed.runtime,
    image: bed.imageName,
    commands,
    peer: bed.peer,
    restarted: async () => {
      const runtime = new PodmanRuntime({ socketPath: bed.service.socketPath });
      restarted.push(runtime);
      return runtime;
    },
    scratchDir: async () => {
      const path = fresh('scratch-conformance');
      await mkdir(path);
      return path;
    },
    inputFile: async (text) => {
      const path = fresh('input');
      await writeFile(path, text);
      return path;
    },
    dispose: async () => {
      for (const runtime of restarted) runtime.close();
      await bed.close();
    },
  };
});
