import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeContainerRuntime } from '@podmesh/testkit/conformance';
import { BUSYBOX_COMMANDS } from './busybox-commands.test-kit.ts';
import { openTestbed } from './container-testbed.test-kit.ts';
import { PodmanRuntime } from './podman-runtime.ts';

describeContainerRuntime('PodmanRuntime', async () => {
  const bed = await openTestbed();
  const restarted: PodmanRuntime[] = [];
  let count = 0;
  const fresh = (name: string) => join(bed.directory, `${name}-${++count}`);
  return {
    runtime: bed.runtime,
    image: bed.imageName,
    commands: BUSYBOX_COMMANDS,
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
