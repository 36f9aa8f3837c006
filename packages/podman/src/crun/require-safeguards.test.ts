import { describe, expect, it } from 'vitest';
import { CrunUnavailableError } from './crun-errors.ts';
import type { OciConfig } from './recipe.ts';
import { requireSafeguards } from './require-safeguards.ts';

const own = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type }));
/** What Podman 4.3 writes for our request. */
const written: OciConfig = {
  root: { path: '/merged' },
  process: { args: ['x'], env: [], capabilities: {}, noNewPrivileges: true },
  mounts: [],
  annotations: { 'io.container.manager': 'libpod' },
  linux: {
    namespaces: own,
    seccomp: { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['read'] }] },
    maskedPaths: ['/proc/kcore'],
    readonlyPaths: ['/proc/sys'],
  },
};

function refusalOf(config: OciConfig): string {
  try {
    requireSafeguards(config);
  } catch (error) {
    expect(error).toBeInstanceOf(CrunUnavailableError);
    return error instanceof Error ? error.message : '';
  }
  return '';
}

/** The message for a configuration with one part of `linux` changed. */
const ofLinux = (changes: object) =>
  refusalOf({ ...written, linux: { ...written.linux, ...changes } });
const ofProcess = (changes: object) =>
  refusalOf({ ...written, process: { ...written.process, ...changes } });

describe('requireSafeguards', () => {
  it('takes what Podman writes', () => {
    expect(refusalOf(written)).toBe('');
    expect(ofLinux({ namespaces: own.filter(({ type }) => type !== 'cgroup') })).toBe('');
    expect(ofLinux({ namespaces: [...own, { type: 'user' }] })).toBe('');
    expect(ofProcess({ capabilities: { bounding: [], effective: null } })).toBe('');
  });

  it.each(['pid', 'network', 'ipc', 'uts', 'mount'])('refuses no %s namespace', (type) => {
    const lacks = `lacks its own ${type} namespace.`;
    expect(ofLinux({ namespaces: own.filter((other) => other.type !== type) })).toContain(lacks);
  });

  it.each(own)("refuses somebody else's $type namespace", ({ type }) => {
    const lacks = `lacks its own ${type} namespace.`;
    const joined = { type, path: `/proc/1/ns/${type}` };
    expect(ofLinux({ namespaces: own.map((o) => (o.type === type ? joined : o)) })).toContain(
      lacks,
    );
    expect(ofLinux({ namespaces: [...own, joined] })).toContain(lacks);
  });

  it.each(['bounding', 'effective', 'inheritable', 'permitted', 'ambient'])(
    'refuses a capability in the set %s',
    (set) => {
      const message = ofProcess({ capabilities: { [set]: ['CAP_SYS_ADMIN'] } });
      expect(message).toContain('lacks empty sets of capabilities.');
    },
  );

  it.each([undefined, null])('refuses sets of capabilities that are %s', (capabilities) => {
    expect(ofProcess({ capabilities })).toContain('lacks empty sets of capabilities.');
  });

  it.each([undefined, false, 'true'])('refuses noNewPrivileges %s', (noNewPrivileges) => {
    expect(ofProcess({ noNewPrivileges })).toContain('lacks noNewPrivileges.');
  });

  it.each([
    undefined,
    null,
    {},
    { defaultAction: 'SCMP_ACT_ALLOW' },
    { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] },
  ])('refuses the seccomp filter %j', (seccomp) => {
    expect(ofLinux({ seccomp })).toContain('lacks a seccomp filter.');
  });

  it.each([undefined, null, []])('refuses paths of /proc that are %j', (paths) => {
    expect(ofLinux({ maskedPaths: paths })).toContain('lacks masked paths.');
    expect(ofLinux({ readonlyPaths: paths })).toContain('lacks read-only paths.');
  });

  it('takes what Podman itself writes for every container', () => {
    const annotations = {
      'io.container.manager': 'libpod',
      'io.kubernetes.cri-o.Created': '2026-01-01T00:00:00Z',
      'io.kubernetes.cri-o.TTY': 'false',
      'org.systemd.property.KillSignal': '15',
      'org.systemd.property.TimeoutStopUSec': 'uint64 10000000',
    };
    expect(() => requireSafeguards({ ...written, annotations })).not.toThrow();
  });

  it('refuses orders that an image gives to crun, such as a filter that lets everything through', () => {
    const annotations = { ...written.annotations, 'run.oci.seccomp_bpf_data': 'BgAAAAAA/38=' };
    expect(refusalOf({ ...written, annotations })).toContain(
      'annotation run.oci.seccomp_bpf_data.',
    );
  });

  it('names all that is missing, also when nothing is there', () => {
    const empty = JSON.parse('{}') as OciConfig;
    expect(refusalOf(empty)).toContain(
      'lacks its own pid namespace, its own ipc namespace, its own uts namespace, ' +
        'its own mount namespace, its own network namespace, noNewPrivileges, ' +
        'empty sets of capabilities, a seccomp filter, masked paths, read-only paths.',
    );
  });
});
