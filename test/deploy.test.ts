import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Pod } from 'kubernetes-models/v1';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

const POD = fileURLToPath(new URL('../podman/daemon/podmesh.yaml', import.meta.url));

/** As somebody has it who filled in what stands in capitals. */
async function readPod(): Promise<ConstructorParameters<typeof Pod>[0]> {
  const text = await readFile(POD, 'utf8');
  const filled = text
    .replaceAll('USER_HOME', '/home/ann')
    .replaceAll('USER_RUNTIME', '/run/user/1');
  return parse(filled) as ConstructorParameters<typeof Pod>[0];
}

it('the pod that Podman plays is one for Kubernetes, too', async () => {
  const pod = new Pod(await readPod());
  expect(() => pod.validate()).not.toThrow();
  const daemon = pod.spec?.containers[0];
  expect(daemon?.volumeMounts?.map(({ name }) => name)).toEqual(
    pod.spec?.volumes?.map(({ name }) => name),
  );
});

it('and a pod that is none is told from it', async () => {
  const pod = new Pod(await readPod());
  Object.assign(pod.spec?.containers[0] ?? {}, { image: 5 });
  expect(() => pod.validate()).toThrow('spec/containers/0/image must be string');
});
