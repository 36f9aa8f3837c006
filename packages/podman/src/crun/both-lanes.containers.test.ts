import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSpec } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CrunTestbed, openCrunTestbed } from './crun-testbed.test-kit.ts';

let bed: CrunTestbed;
beforeAll(async () => {
  bed = await openCrunTestbed();
});
afterAll(() => bed.close());

/** What a command sees in each lane. */
async function inBoth(script: string, changes: Partial<ContainerSpec> = {}) {
  const spec = { command: ['/bin/sh', '-c', script], ...changes };
  const [crun, podman] = [await bed.run(spec), await bed.podman.run(spec)];
  expect({ crun: crun.err, podman: podman.err }).toMatchObject({ crun: podman.err });
  return { crun: crun.out, podman: podman.out };
}

async function expectSame(script: string, changes: Partial<ContainerSpec> = {}): Promise<string> {
  const { crun, podman } = await inBoth(script, changes);
  expect(crun).toBe(podman);
  expect(crun).not.toBe('');
  return crun;
}

describe('a task sees the same in both lanes', () => {
  it('rights, filters and ids', async () => {
    const seen = await expectSame(
      'grep -E "^(Cap|Seccomp|NoNewPrivs|Uid|Gid|Groups|Umask|Sig(Ign|Blk|Cgt))" /proc/self/status; ' +
        'cat /proc/self/uid_map /proc/self/gid_map /proc/self/oom_score_adj; id; pwd; umask',
    );
    expect(seen).toMatch(/CapEff:\s+0{16}\n/);
    expect(seen).toMatch(/CapBnd:\s+0{16}\n/);
    expect(seen).toMatch(/NoNewPrivs:\s+1\n/);
    expect(seen).toMatch(/Seccomp:\s+2\n/);
    expect(seen).toContain('\n300\n');
  });

  it('system calls refused', async () => {
    await expectSame(
      'for c in "mount -t tmpfs x /tmp" "unshare -m true" "chroot / true" "mknod /tmp/n c 1 3" "hostname x" ' +
        '"date -s 2020-01-01" "sysctl -w kernel.hostname=x" "nice -n -5 true" "dmesg" "mount -o remount,rw /proc" ' +
        '"cat /proc/kcore" "cat /proc/keys" "ls /sys/firmware" "umount /proc/kcore" "swapoff -a" "reboot -f"; ' +
        'do $c >/tmp/out 2>&1; echo "$c: $? $(head -c 200 /tmp/out)"; done',
    );
  });

  it('environment, host name, limits and network', async () => {
    await expectSame('env | sort', { env: { FOO: "it's", PATH: '/bin:/x', 'od.d': '1' } });
    await expectSame(
      'hostname; cat /etc/hostname /proc/self/limits; ls /sys/class/net; ls -a / /etc',
    );
    // Podman adds a name that it makes up for each container.
    await expectSame('grep -v "podmesh " /etc/hosts | sort; cut -d " " -f 1 /etc/hosts');
    await inBoth('cat /run/.containerenv');
  });

  it('descriptors', async () => {
    const names = 'ls -1 /proc/self/fd';
    await expectSame(names);
    const { out } = await bed.run({
      command: ['/bin/sh', '-c', names],
      outputs: { seven: { kind: 'fd', fd: 7 }, twelve: { kind: 'fd', fd: 12 } },
    });
    // crun hands descriptors on without gaps; those that are no output are /dev/null. The
    // last is the directory that is being read.
    const all = Array.from({ length: 14 }, (_, i) => String(i));
    expect(out.trim().split('\n').sort()).toEqual(all.sort());
  });

  it('mounts, except where they come from', async () => {
    const input = join(bed.podman.directory, 'an: odd name');
    await mkdir(input);
    await writeFile(join(input, 'x'), 'x');
    const fields = (text: string) =>
      text
        .trim()
        .split('\n')
        .map((line) => line.split(' '))
        .map((words) => {
          const dash = words.indexOf('-');
          const [type, options] = [words[dash + 1], words[dash + 3] ?? ''];
          // The layers differ by name, and a shared tmpfs by its owner, who is the same here.
          const kept = type === 'overlay' ? 'overlay' : options.replace(/,?(uid|gid)=\d+/g, '');
          return [words[4], words[5], type, kept].join(' ');
        })
        .sort();
    const changes = { inputs: { a: input }, mountAt: { a: '/opt/a' } };
    const seen = await inBoth('cat /proc/self/mountinfo', changes);
    expect(fields(seen.crun)).toEqual(fields(seen.podman));
    const overlay = /overlay overlay (.*)/.exec(seen.crun)?.[1];
    expect(overlay).toContain('userxattr');
  });

  it('its first process and standard streams', async () => {
    await expectSame(
      'cat /proc/1/cmdline | tr "\\0" " "; cat /proc/self/cgroup; echo x >/dev/stdout; echo $$',
    );
    await expectSame(
      'stat -c "%a %u %g %n" / /etc /tmp /dev /dev/shm /dev/null /proc /run /etc/hosts',
    );
  });
});
