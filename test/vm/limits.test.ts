import { type PeerEntry, type RuntimeName, TASK_PIDS_MAX, type TaskRecord } from '@podmesh/core';
import type { DoctorFinding } from '@podmesh/podman';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { daemonPid, SERVICE, startPeer, stopPeer, WAYS } from './guest-peer.ts';
import { figuresOf, runTask } from './guest-run.ts';
import { VirtualMachine } from './virtual-machine.ts';

/** On a busy machine the emulated one takes minutes for a task; nothing waits for this. */
const LIMIT_MS = 15 * 60_000;
/** The first start of all builds a disk. */
const START_MS = 30 * 60_000;
const MIB = 2 ** 20;
const RUNTIMES: readonly RuntimeName[] = ['podman', 'crun'];
/**
 * The slice around Podman's container has its conmon and clean-up in it too, which no limit of the task
 * holds; its peak is told when the container's own cgroup is gone before it could be read.
 */
const PEAK_MAX: Partial<Record<RuntimeName, number>> = { podman: 128 * MIB };

/** Shell words for lines of a report: a file below /sys/fs/cgroup, and what it says. */
const tell = (...files: readonly string[]): string =>
  `cd /sys/fs/cgroup; for file in ${files.join(' ')}; do echo "$file $(cat $file)"; done`;

describe('an ordinary user of a Debian machine with systemd and cgroup v2', () => {
  let machine: VirtualMachine;

  beforeAll(async () => {
    machine = await VirtualMachine.start();
  }, START_MS);

  afterAll(() => machine?.stop(), LIMIT_MS);

  describe.each(WAYS)('whose peer was started by %s', (way) => {
    beforeAll(() => startPeer(machine, way), LIMIT_MS);

    afterAll(() => stopPeer(machine), LIMIT_MS);

    it(
      'is told that the kernel holds tasks to their limits',
      async () => {
        const [peer] = (await machine.tellJson('peers')) as readonly PeerEntry[];
        expect(peer?.limits).toMatchObject({ memory: 'kernel', cpus: 'kernel', pids: 'kernel' });
        expect(peer?.runtimes).toEqual(expect.arrayContaining([...RUNTIMES]));
        expect(peer?.paused).toBeUndefined();
      },
      LIMIT_MS,
    );

    it(
      'has nothing to repair',
      async () => {
        const findings = (await machine.tellJson('doctor')) as readonly DoctorFinding[];
        expect(findings.filter(({ ok }) => !ok)).toEqual([]);
        const limits = findings.find(({ check }) => check === 'limits');
        expect(limits?.found).toContain('cgroup v2 by systemd');
      },
      LIMIT_MS,
    );

    // What a task finds shows that they are set; what happens then does not depend on the way.
    it.each(RUNTIMES)(
      'sees a task in %s with the limits it asked for',
      async (runtime) => {
        const { task, report } = await runTask(machine, {
          runtime,
          needs: { cpus: 0.5, memory: '64MiB' },
          script: [
            // Sixteen mebibytes in the memory of one process, and some computing.
            'dd if=/dev/zero of=/dev/null bs=16M count=8 2>/dev/null',
            tell('memory.max', 'memory.swap.max', 'pids.max', 'cpu.max'),
          ],
        });
        expect(task.state, JSON.stringify(task)).toBe('succeeded');
        expect(figuresOf(report)).toEqual({
          'memory.max': String(64 * MIB),
          'memory.swap.max': '0',
          'pids.max': String(TASK_PIDS_MAX),
          'cpu.max': '50000 100000',
        });
        expect(task.usage?.cpuMs).toBeGreaterThan(0);
        expect(task.usage?.maxRssBytes).toBeGreaterThan(16 * MIB);
        expect(task.usage?.maxRssBytes).toBeLessThanOrEqual(PEAK_MAX[runtime] ?? 64 * MIB);
      },
      LIMIT_MS,
    );
  });

  describe.each(RUNTIMES)('whose task runs in %s', (runtime) => {
    beforeAll(() => startPeer(machine, SERVICE), LIMIT_MS);

    afterAll(() => stopPeer(machine), LIMIT_MS);

    it(
      'is killed by the kernel when it uses more memory',
      async () => {
        const before = await killsForMemory(machine);
        const { task } = await runTask(machine, {
          runtime,
          needs: { cpus: 0.5, memory: '64MiB' },
          script: ['exec dd if=/dev/zero of=/dev/null bs=256M count=1'],
        });
        expect(task.failure?.kind, JSON.stringify(task)).toBe('oom-task');
        expect(killedIn(task), JSON.stringify(task)).toBe(1);
        const kills = (await killsForMemory(machine)).slice(before.length);
        expect(kills).toHaveLength(1);
        expect(kills[0]).toMatch(/oom_memcg=\/user\.slice\/.*\/user@\d+\.service\//);
      },
      LIMIT_MS,
    );

    it(
      'is told from one that failed, though only a child of its first process was killed',
      async () => {
        const { task } = await runTask(machine, {
          runtime,
          needs: { cpus: 0.5, memory: '64MiB' },
          // In Podman's lane the shell lives on, and says so with a code of its own.
          script: ['dd if=/dev/zero of=/dev/null bs=256M count=1', 'exit 3'],
        });
        expect(task.failure?.kind, JSON.stringify(task)).toBe('oom-task');
        // The fast lane has the kernel end all of the container together.
        expect(task.exit?.code).toBe(runtime === 'podman' ? 3 : 137);
        expect(killedIn(task), JSON.stringify(task)).toBe(1);
        expect(task.usage?.maxRssBytes).toBeGreaterThan(32 * MIB);
        await untilSlicesAreGone(machine);
      },
      LIMIT_MS,
    );

    it(
      'cannot start more processes than its limit; the machine and the daemon live on',
      async () => {
        const daemon = await daemonPid(machine);
        const { task, report } = await runTask(machine, {
          runtime,
          needs: { cpus: 1, memory: '1GiB' },
          script: [
            'mkfifo /tmp/nobody',
            // Each waits for a writer that never comes; a shell that cannot fork ends with an error.
            '(while :; do read -r word </tmp/nobody & done) 2>/tmp/said',
            // Builtins only: there is no process left to be had.
            'read -r current </sys/fs/cgroup/pids.current; echo "current $current"',
            'read -r word refused </sys/fs/cgroup/pids.events; echo "refused $refused"',
            'while read -r line; do said=$line; done </tmp/said; echo "said $said"',
          ],
        });
        expect(task.state, JSON.stringify(task)).toBe('succeeded');
        const { current, refused, said } = figuresOf(report);
        expect(Number(current)).toBeGreaterThan(TASK_PIDS_MAX - 8);
        expect(Number(current)).toBeLessThanOrEqual(TASK_PIDS_MAX);
        expect(Number(refused)).toBeGreaterThan(0);
        expect(said).toContain('Resource temporarily unavailable');
        expect(await daemonPid(machine)).toBe(daemon);
        expect(await machine.tell('root', 'systemctl', 'is-system-running')).toBe('running\n');
      },
      LIMIT_MS,
    );

    it(
      'gets half of a core when it asks for half, however busy it is',
      async () => {
        const { task, report } = await runTask(machine, {
          runtime,
          needs: { cpus: 0.5, memory: '64MiB' },
          script: [
            '(while :; do :; done) & (while :; do :; done) &',
            // Thirty times the period in which the kernel counts: three seconds of half a core.
            'periods=0',
            'until [ "$periods" -ge 30 ]; do',
            '  while read -r name value; do',
            '    case $name in nr_periods) periods=$value ;; esac',
            '  done </sys/fs/cgroup/cpu.stat',
            'done',
            'cat /sys/fs/cgroup/cpu.stat',
          ],
        });
        expect(task.state, JSON.stringify(task)).toBe('succeeded');
        const { nr_periods, nr_throttled, usage_usec } = figuresOf(report);
        expect(Number(nr_throttled)).toBeGreaterThan(0);
        const cores = Number(usage_usec) / (Number(nr_periods) * 100_000);
        expect(cores).toBeGreaterThan(0.3);
        expect(cores).toBeLessThan(0.6);
      },
      LIMIT_MS,
    );
  });
});

/** Attempts that the limit ended; an emulated machine may lose others by being late, which is no fault of theirs. */
const killedIn = ({ attempts }: TaskRecord): number =>
  attempts.filter(({ outcome }) => outcome === 'oom-task').length;

/** Podman's lane has systemd stop them a moment after the container's removal. */
async function untilSlicesAreGone(machine: VirtualMachine): Promise<void> {
  const slices = '/sys/fs/cgroup/user.slice/user-*.slice/user@*.service/podmesh.slice/*/';
  await machine.tell('ada', 'bash', '-uc', `while compgen -G '${slices}'; do sleep 0.2; done`);
}

/** What the kernel itself says about processes that it ended because of the limit of a cgroup. */
async function killsForMemory(machine: VirtualMachine): Promise<readonly string[]> {
  const words = ['journalctl', '--dmesg', '--output=cat', '--no-pager'];
  const lines = (await machine.tell('root', ...words)).split('\n');
  return lines.filter((line) => line.includes('oom-kill:constraint=CONSTRAINT_MEMCG'));
}
