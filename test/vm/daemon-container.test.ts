import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { TASK_PIDS_MAX } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilSeen } from '../process-kit/within.ts';
import { figuresOf, runTask } from './guest-run.ts';
import { tell } from './speak.ts';
import { VirtualMachine } from './virtual-machine.ts';

const here = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
/** Harmless for whoever is an ordinary user already. */
const ROOTLESS = here('scripts/rootless');
const DAEMON = 'localhost/podmesh/daemon:1';
const FILE = '.local/share/podmesh/daemon.json';
const LIMIT_MS = 20 * 60_000;
const START_MS = 40 * 60_000;
/** Each look is a command that crosses into the machine. */
const LOOK_MS = 1_000;
const MIB = 2 ** 20;

describe('the daemon as a container of an ordinary user of a Debian machine with systemd', () => {
  let machine: VirtualMachine;

  const asAda = (script: string) => machine.tell('ada', 'bash', '-euc', script);
  const untilUp = () => asAda(`until [[ -e ~/${FILE} ]]; do sleep 1; done`);
  const untilDown = () => asAda(`while [[ -e ~/${FILE} ]]; do sleep 1; done`);
  /** Of the daemon that is up, as the host counts; undefined while there is none. */
  const pidOf = async (): Promise<number | undefined> => {
    const text = await asAda(`cat ~/${FILE} 2>/dev/null || echo '{}'`);
    return (JSON.parse(text) as { pid?: number }).pid;
  };

  /** A task beside the daemon's container, which finds the limits that it asked for and is answered by the daemon. */
  async function expectTask(): Promise<void> {
    const { task, report } = await runTask(machine, {
      runtime: 'podman',
      needs: { cpus: 0.5, memory: '64MiB' },
      script: [
        'cd /sys/fs/cgroup',
        'for file in memory.max pids.max; do echo "$file $(cat $file)"; done',
        'test -S /run/podmesh.sock && echo "socket there"',
      ],
    });
    expect(task.state, JSON.stringify(task)).toBe('succeeded');
    expect(figuresOf(report)).toEqual({
      'memory.max': String(64 * MIB),
      'pids.max': String(TASK_PIDS_MAX),
      socket: 'there',
    });
  }

  beforeAll(async () => {
    machine = await VirtualMachine.start();
    await tell([ROOTLESS, here('scripts/build-image'), 'daemon']);
    await machine.load(DAEMON);
    await asAda('systemctl --user --quiet enable --now podman.socket');
  }, START_MS);

  afterAll(async () => {
    await machine?.stop();
    await tell([ROOTLESS, 'podman', 'rmi', '--force', DAEMON]);
  }, LIMIT_MS);

  it(
    'is a service of Quadlet that runs tasks, comes back when it is killed, and ends as asked',
    async () => {
      const unit = '.config/containers/systemd/podmesh.container';
      await asAda(`install -D podmesh/podman/daemon/podmesh.container ${unit}
        systemctl --user daemon-reload && systemctl --user start podmesh`);
      await untilUp();
      await expectTask();
      const before = await pidOf();
      await asAda('podman kill --signal KILL podmesh');
      const isBack = async (): Promise<boolean> => {
        const pid = await pidOf();
        return pid !== undefined && pid !== before;
      };
      await untilSeen(LIMIT_MS, () => 'systemd to start it again', isBack, LOOK_MS);
      await expectTask();
      await asAda('systemctl --user stop podmesh');
      await untilDown();
      expect(await asAda('systemctl --user show --property Result --value podmesh')).toBe(
        'success\n',
      );
      await asAda(`rm ${unit}; systemctl --user daemon-reload`);
    },
    LIMIT_MS,
  );

  it(
    'is a pod that runs tasks and ends as asked',
    async () => {
      const pod = (await readFile(here('podman/daemon/podmesh.yaml'), 'utf8')).match(/sed -e .*$/m);
      expect(pod, 'the command that the file itself tells').not.toBeNull();
      await asAda(`mkdir -p ~/.local/share/podmesh; cd podmesh; ${pod?.[0]}`);
      await untilUp();
      await expectTask();
      await asAda('podman pod stop --time 60 podmesh && podman pod rm podmesh');
      await untilDown();
    },
    LIMIT_MS,
  );
});
