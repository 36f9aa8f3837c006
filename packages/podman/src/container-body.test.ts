import { type ContainerSpec, claimId, peerId, runId, taskId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { containerBody } from './container-body.ts';
import { readLabels, writeLabels } from './container-labels.ts';

const labels = {
  run: runId('abcdefghijkl'),
  task: taskId('job:3'),
  attempt: 2,
  peer: peerId('p1'),
  claim: claimId('c1'),
};
const spec: ContainerSpec = {
  labels,
  image: `sha256:${'0'.repeat(64)}`,
  env: { A: 'b=c' },
  inputs: {},
  outputs: {},
  net: false,
  requirements: { cpus: 0.5, memoryBytes: 1 << 20, diskBytes: 0, gpus: 0, labels: [] },
  scratchDir: '/s',
};
const plain = { hasHealthcheck: false, limitsEnforced: false, selinux: false, network: 'pasta' };

describe('containerBody', () => {
  it('locks the container up', () => {
    expect(containerBody(spec, plain)).toMatchObject({
      OpenStdin: false,
      Env: ['A=b=c'],
      HostConfig: { NetworkMode: 'none', CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'] },
    });
  });

  it("keeps the image's own command, or replaces all of it", () => {
    expect(containerBody(spec, plain)).not.toHaveProperty('Entrypoint');
    const replaced = containerBody({ ...spec, command: ['a', 'b c'] }, plain);
    expect(replaced).toMatchObject({ Entrypoint: ['a', 'b c'], Cmd: [] });
  });

  it('has no health checks, though the image may', () => {
    expect(containerBody(spec, plain)).not.toHaveProperty('Healthcheck');
    const body = containerBody(spec, { ...plain, hasHealthcheck: true });
    expect(body).toMatchObject({ Healthcheck: { Test: ['NONE'] } });
  });

  it('gives a network only to who asks', () => {
    const body = containerBody({ ...spec, net: true }, plain);
    expect(body).toMatchObject({ HostConfig: { NetworkMode: 'pasta' } });
  });

  it('limits only where the kernel does', () => {
    expect(containerBody(spec, plain)).not.toHaveProperty('HostConfig.Memory');
    expect(containerBody(spec, { ...plain, limitsEnforced: true })).toMatchObject({
      HostConfig: { Memory: 1 << 20, MemorySwap: 1 << 20, NanoCpus: 5e8, PidsLimit: 4_096 },
    });
  });

  it('mounts inputs read-only, whatever their path', () => {
    const body = containerBody({ ...spec, inputs: { a: '/x:y', b: '/x,y' } }, plain);
    expect(body).toMatchObject({
      HostConfig: {
        Mounts: [{ Type: 'bind', Source: '/x:y', Target: '/in/a', ReadOnly: true }],
        Binds: ['/x,y:/in/b:ro'],
      },
    });
  });

  it('mounts an input where the job says, or by its name, be it one that every object has', () => {
    const inputs = { constructor: '/x', toString: '/y', b: '/z' };
    const body = containerBody({ ...spec, inputs, mountAt: { b: '/opt/b' } }, plain);
    expect(body).toMatchObject({
      HostConfig: {
        Mounts: [
          { Source: '/x', Target: '/in/constructor' },
          { Source: '/y', Target: '/in/toString' },
          { Source: '/z', Target: '/opt/b' },
        ],
      },
    });
  });

  it('starts through the launcher when there are descriptors to open', () => {
    const launch = { directory: '/s/fd', argv: ['/run/podmesh/busybox', 'sh'], busybox: '/bin/bb' };
    expect(containerBody({ ...spec, command: ['a'] }, { ...plain, launch })).toMatchObject({
      Entrypoint: launch.argv,
      HostConfig: {
        Mounts: [
          { Source: '/bin/bb', Target: '/run/podmesh/busybox', ReadOnly: true },
          { Source: '/s/fd', Target: '/run/podmesh/fd', ReadOnly: false },
        ],
      },
    });
  });
});

describe('labels', () => {
  it('come back as they were written, or not at all', () => {
    expect(readLabels(writeLabels(labels))).toEqual(labels);
    expect(readLabels(undefined)).toBeUndefined();
    expect(readLabels({ ...writeLabels(labels), 'podmesh.attempt': '0' })).toBeUndefined();
    expect(readLabels({ ...writeLabels(labels), 'podmesh.run': 'NO' })).toBeUndefined();
  });
});
