import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeContainerRuntime } from '@podmesh/testkit/conformance';
import { BUSYBOX_COMMANDS } from '../busybox-commands.test-kit.ts';
import { openCrunTestbed } from './crun-testbed.test-kit.ts';

describeContainerRuntime('CrunRuntime', async () => {
  const bed = await openCrunTestbed();
  let count = 0;
  const fresh = (name: string) => join(bed.podman.directory, `${name}-${++count}`);
  return {
    get runtime() {
      return bed.crun;
    },
    image: bed.podman.imageName,
    commands: BUSYBOX_COMMANDS,
    peer: bed.podman.peer,
    replays: 'since',
    restarted: () => bed.restart(),
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
    dispose: () => bed.close(),
  };
});
