import type { VirtualMachine } from './virtual-machine.ts';

/** How the owner of a machine makes it a peer; the cgroup in which the daemon finds itself differs. */
export type Way = typeof LOGIN | typeof SERVICE;

const LOGIN = 'a login shell';
export const SERVICE = "a service of the user's systemd";
export const WAYS = [LOGIN, SERVICE] as const;

const UNIT = 'podmesh-test.service';

/** Resolves when the peer is up. */
export async function startPeer(machine: VirtualMachine, way: Way): Promise<void> {
  if (way === LOGIN) {
    await machine.tellJson('up', '--detach');
    return;
  }
  const up = '~/podmesh/packages/cli/bin/podmesh up';
  await machine.tell(
    'ada',
    'bash',
    '-euc',
    // The daemon writes this file once it is ready, and no other process does.
    `systemd-run --user --quiet --collect --unit=${UNIT} ${up}
     until [[ -e ~/.local/share/podmesh/daemon.json ]]; do
       systemctl --user --quiet is-active ${UNIT} || {
         journalctl --user --unit=${UNIT} --no-pager >&2; exit 1; }
       sleep 0.2
     done`,
  );
}

export async function stopPeer(machine: VirtualMachine): Promise<void> {
  await machine.tellJson('down');
}

/** The process id of the daemon that is up. */
export async function daemonPid(machine: VirtualMachine): Promise<number> {
  const text = await machine.tell('ada', 'cat', '.local/share/podmesh/daemon.json');
  return (JSON.parse(text) as { pid: number }).pid;
}
