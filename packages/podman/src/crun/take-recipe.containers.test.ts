import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CrunUnavailableError } from './crun-errors.ts';
import { type CrunTestbed, openCrunTestbed } from './crun-testbed.test-kit.ts';
import { expectNothingLeft } from './expect-nothing-left.test-kit.ts';

/** One instruction, "let it through", in the place of the thousands that Podman's profile becomes. */
const OPEN_FILTER = 'run.oci.seccomp_bpf_data=BgAAAAAA/38=';
const IMAGE = 'localhost/podmesh/test-open-filter:1';

let bed: CrunTestbed;
beforeAll(async () => {
  bed = await openCrunTestbed();
});
afterAll(async () => {
  // First the lane, which keeps images of its own accord.
  await expectNothingLeft(bed);
  await bed.podman.podman('rmi', '--force', IMAGE);
});

it('refuses an image that brings its own seccomp filter, which Podman hands on to crun', async () => {
  const file = join(bed.podman.directory, 'Containerfile');
  await writeFile(file, `FROM ${bed.podman.imageName}\nENV OPEN=1\n`);
  const build = ['build', '--quiet', '--pull=never', '--annotation', OPEN_FILTER, '--file', file];
  await bed.podman.podman(...build, '--tag', IMAGE, bed.podman.directory);
  const image = await bed.podman.podman('image', 'inspect', '--format', '{{.Id}}', IMAGE);
  const spec = await bed.podman.spec({ image: `sha256:${image.trim()}`, command: ['true'] });
  const inThisLane = { ...spec, requirements: { ...spec.requirements, runtime: 'crun' as const } };
  const signal = new AbortController().signal;
  const refusal = bed.crun.start(inThisLane, () => undefined, signal);
  await expect(refusal).rejects.toThrow(CrunUnavailableError);
  await expect(refusal).rejects.toThrow('annotation run.oci.seccomp_bpf_data');
});
