import { type ContainerSpec, claimId, peerId, runId, taskId } from '@podmesh/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillRecipe, type OciConfig, type Recipe } from './recipe.ts';
import { requireSafeguards } from './require-safeguards.ts';

const PROTECTED = [
  '/proc',
  '/proc/sys',
  '/proc/kcore',
  '/sys',
  '/sys/fs/cgroup',
  '/dev',
  '/dev/shm',
];

const path = fc.oneof(
  fc.constantFrom('/', ...PROTECTED, '/etc/hosts', '/etc/../proc', '/a/../../dev', '//proc//', '.'),
  fc.string().map((text) => `/${text}`),
);
const word = fc.oneof(
  fc.string(),
  fc.constantFrom('PATH', '__proto__', 'constructor', 'run.oci.seccomp_bpf_data', 'podmesh.image'),
);

const spec: fc.Arbitrary<ContainerSpec> = fc.record({
  labels: fc.constant({
    run: runId('abcdefghijkl'),
    task: taskId('job'),
    attempt: 1,
    peer: peerId('p1'),
    claim: claimId('c1'),
  }),
  image: word,
  command: fc.array(word, { maxLength: 4 }),
  env: fc.dictionary(word, fc.string()),
  inputs: fc.dictionary(word, path),
  mountAt: fc.dictionary(word, path),
  outputs: fc.constant({}),
  net: fc.boolean(),
  requirements: fc.record({
    cpus: fc.double({ min: 0, max: 1_000, noNaN: true }),
    memoryBytes: fc.nat(),
    diskBytes: fc.nat(),
    gpus: fc.nat(),
    labels: fc.array(word),
  }),
  scratchDir: path,
});

const place = fc.record(
  { files: path, root: path, limits: fc.boolean(), cgroup: path },
  { requiredKeys: ['files', 'root', 'limits'] },
);

/** As Podman writes it, with one more setting everywhere that none of this code knows. */
const config = {
  ociVersion: '1.0.2-dev',
  root: { path: '/merged', readonly: true, later: 1 },
  hostname: 'podmesh',
  hooks: { prestart: [] },
  process: {
    args: ['/probe'],
    env: ['PATH=/bin', 'HOME=/root'],
    cwd: '/',
    user: { uid: 0, gid: 0, umask: 18 },
    capabilities: { bounding: [], later: [] },
    noNewPrivileges: true,
    oomScoreAdj: 300,
    apparmorProfile: 'containers-default',
    selinuxLabel: 'system_u:system_r:container_t:s0',
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1_024, soft: 1_024 }],
    later: 2,
  },
  mounts: PROTECTED.map((destination) => ({ destination, type: 'tmpfs', options: ['ro'] })),
  annotations: { 'io.container.manager': 'libpod' },
  linux: {
    namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
    seccomp: { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['read'] }] },
    maskedPaths: ['/proc/kcore'],
    readonlyPaths: ['/proc/sys'],
    sysctl: { 'net.ipv4.ping_group_range': '0 0' },
    resources: { devices: [{ allow: false, access: 'rwm' }], pids: { limit: 2_048 } },
    later: 3,
  },
};

const recipe: Recipe = {
  image: 'sha256:a',
  config,
  inputMount: {
    destination: '/probe',
    type: 'bind',
    source: '/p',
    options: ['rbind', 'ro', 'nosuid', 'nodev'],
  },
  fileMounts: [{ destination: '/etc/hosts', type: 'bind', source: 'file-0' }],
  files: [],
  command: ['/bin/own'],
  layers: { home: '/storage', lower: 'l/A:l/B' },
  rootMode: 0o755,
};

/** Property by property, so that one that is added or lost shows, too. */
function without(value: object, ...names: readonly string[]): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));
}

describe('fillRecipe, whatever a task asks for', () => {
  const holds = (check: (filled: OciConfig, spec: ContainerSpec, limits: boolean) => void) =>
    fc.assert(
      fc.property(spec, place, (asked, where) => {
        // As crun reads it, and with Podman's own part as it was.
        const filled = JSON.parse(JSON.stringify(fillRecipe(recipe, asked, where as never)));
        check(filled as OciConfig, asked, where.limits);
      }),
    );

  it('changes nothing that makes the container safe', () => {
    holds((filled) => {
      expect(without(filled.process, 'args', 'env')).toEqual(
        without(config.process, 'args', 'env'),
      );
      expect(without(filled.linux, 'resources', 'cgroupsPath')).toEqual(
        without(config.linux, 'resources', 'cgroupsPath'),
      );
      const own = ['root', 'process', 'mounts', 'annotations', 'linux'];
      expect(without(filled, ...own)).toEqual(without(config, ...own));
      expect(without(filled.root ?? {}, 'path')).toEqual(without(config.root, 'path'));
      requireSafeguards(filled);
    });
  });

  it('takes no limit or device rule away that it does not replace', () => {
    holds((filled, _, limits) => {
      const { resources = {} } = filled.linux;
      expect(resources.devices).toEqual(config.linux.resources.devices);
      if (limits) expect(resources.pids).toHaveProperty('limit', expect.any(Number));
    });
  });

  it('adds no annotation beside its own, and changes none of Podman', () => {
    holds(({ annotations = {} }) => {
      expect(annotations).toMatchObject(config.annotations);
      const added = Object.keys(without(annotations, ...Object.keys(config.annotations)));
      expect(added.filter((name) => !name.startsWith('podmesh.'))).toEqual([]);
    });
  });

  it("mounts inputs with Podman's options only, and nothing else beside Podman's mounts", () => {
    holds(({ mounts }, { inputs }) => {
      const known = new Set([...config.mounts, ...recipe.fileMounts].map((m) => m.destination));
      const isInput = (m: OciConfig['mounts'][number]) => m.options?.includes('rbind');
      const [own, others] = [mounts.filter(isInput), mounts.filter((m) => !isInput(m))];
      expect(own).toHaveLength(Object.keys(inputs).length);
      for (const mount of own) expect(mount.options).toEqual(recipe.inputMount.options);
      for (const { destination } of others) expect(known).toContain(destination);
      const at = new Set(own.map(({ destination }) => destination));
      const lost = [...known].filter((d) => !others.some((m) => m.destination === d));
      expect(lost.filter((destination) => !at.has(destination))).toEqual([]);
    });
  });
});
