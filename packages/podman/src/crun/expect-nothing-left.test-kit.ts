import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, vi } from 'vitest';
import type { CrunTestbed } from './crun-testbed.test-kit.ts';
import { mountsOf, processesOf } from './machine-view.test-kit.ts';

/** Closes the testbed, after whose tests no container, recipe, mount or process may be left. */
export async function expectNothingLeft(bed: CrunTestbed): Promise<void> {
  const left = await bed.crun.leftovers(bed.podman.peer);
  const { directory } = bed;
  await bed.close();
  expect(left).toEqual([]);
  const filter = `label=podmesh.recipe=${directory}`;
  const { stdout } = await promisify(execFile)('podman', ['ps', '-aq', '--filter', filter]);
  expect(stdout).toBe('');
  expect(await mountsOf(directory)).toEqual([]);
  await vi.waitFor(async () => expect(await processesOf(directory)).toEqual([]), 20_000);
}
