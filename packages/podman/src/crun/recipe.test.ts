import { type ContainerSpec, claimId, peerId, runId, taskId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { readLabels } from '../container-labels.ts';
import { commandOf, fillRecipe, imageIn, layersIn, type Recipe } from './recipe.ts';

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
  env: { A: 'b=c', PATH: '/x' },
  inputs: { b: '/store/b', a: '/store/a' },
  mountAt: { b: '/opt/deep/er/b' },
  outputs: {},
  net: false,
  requirements: { cpus: 1, memoryBytes: 1, diskBytes: 0, gpus: 0, labels: [] },
  scratchDir: '/s',
};
const recipe = {
  image: spec.image,
  config: {
    hooks: { prestart: [] },
    process: {
      args: ['x'],
      env: ['PATH=/bin', 'HOME=/root'],
      noNewPrivileges: true,
      capabilities: {},
    },
    mounts: [{ destination: '/proc', type: 'proc' }],
    annotations: { 'io.container.manager': 'libpod' },
    linux: {
      seccomp: { defaultAction: 'SCMP_ACT_ERRNO' },
      maskedPaths: ['/proc/kcore'],
      resources: { pids: { limit: 2_048 }, devices: [] },
    },
  },
  inputMount: { destination: '/probe', type: 'bind', source: '/p', options: ['rbind', 'ro'] },
  fileMounts: [
    { destination: '/etc/hosts', type: 'bind', source: 'file-0' },
    { destination: '/etc/hostname', type: 'bind', source: 'file-1' },
  ],
  files: [],
  command: ['/bin/own'],
  layers: { home: '/storage', lower: 'l/A:l/B' },
  rootMode: 0o755,
} as Recipe;
const place = { files: '/d', root: '/m', limits: false };

describe('fillRecipe', () => {
  it('keeps all of the security that Podman wrote', () => {
    expect(fillRecipe(recipe, spec, place)).toMatchObject({
      hooks: recipe.config && { prestart: [] },
      process: { noNewPrivileges: true, capabilities: {} },
      linux: {
        seccomp: recipe.config.linux.seccomp,
        maskedPaths: ['/proc/kcore'],
        resources: { devices: [] },
      },
    });
  });

  it("puts in the task's command and environment", () => {
    expect(fillRecipe(recipe, { ...spec, command: ['run', 'it'] }, place)).toMatchObject({
      root: { path: '/m' },
      process: { args: ['run', 'it'], env: ['HOME=/root', 'A=b=c', 'PATH=/x'] },
    });
    expect(commandOf(recipe, { ...spec, command: [] })).toEqual(['/bin/own']);
  });

  it('mounts inputs as Podman does, parents first', () => {
    expect(fillRecipe(recipe, spec, place)).toMatchObject({
      mounts: [
        { destination: '/proc' },
        { destination: '/etc/hosts', source: '/d/file-0' },
        { destination: '/etc/hostname', source: '/d/file-1' },
        { destination: '/in/a', type: 'bind', source: '/store/a', options: ['rbind', 'ro'] },
        { destination: '/opt/deep/er/b', source: '/store/b', options: ['rbind', 'ro'] },
      ],
    });
  });

  it("lets an input take the place of one of Podman's files", () => {
    const mountAt = { a: '/etc/../etc/hosts', b: '/b' };
    const filled = fillRecipe(recipe, { ...spec, mountAt }, place) as typeof recipe.config;
    const hosts = filled.mounts.filter(({ destination }) => destination === '/etc/hosts');
    expect(hosts).toEqual([expect.objectContaining({ source: '/store/a' })]);
  });

  it('limits only where the kernel does', () => {
    expect(fillRecipe(recipe, spec, place)).not.toHaveProperty('linux.resources.pids');
    expect(fillRecipe(recipe, spec, { ...place, limits: true })).toMatchObject({
      linux: {
        resources: {
          pids: { limit: 4_096 },
          cpu: { quota: 100_000, period: 100_000 },
          memory: { limit: 1, swap: 1 },
          unified: { 'memory.oom.group': '1' },
          devices: [],
        },
      },
    });
  });

  it('carries all that a later daemon must know', () => {
    const filled = fillRecipe(recipe, spec, { ...place, cgroup: '/g' }) as typeof recipe.config;
    const annotations = filled.annotations ?? {};
    expect(readLabels(annotations)).toEqual(labels);
    expect(layersIn(annotations)).toEqual(recipe.layers);
    expect(imageIn(annotations)).toBe(spec.image);
    expect(filled.linux.cgroupsPath).toBe('/g/c');
  });
});
