import { type DoctorFinding, type DoctorMachine, thisMachine } from '../doctor-checks.ts';
import type { InfoAnswer } from '../podman-answers.ts';
import { laneProblem } from './crun-lane.ts';

const CHECK = 'fast lane (crun)';

/**
 * Whether the fast lane can work here: crun, Podman's namespace, native overlay mounts in it, and a
 * static busybox. Changes nothing. What it cannot see, the daemon's canary will.
 */
export async function checkCrunLane(
  machine: DoctorMachine = thisMachine(process.env),
): Promise<DoctorFinding> {
  try {
    const info = JSON.parse(
      await machine.run('podman', ['info', '--format', 'json']),
    ) as InfoAnswer;
    const problem = laneProblem(info);
    if (problem !== undefined)
      return missing(problem, 'see the words above; without it tasks run through Podman');
    if ((await machine.staticBusybox()) === undefined) {
      return missing('no static busybox', 'install it (Debian: apt-get install busybox-static)');
    }
    await machine.run(info.host.ociRuntime.path ?? 'crun', ['--version']);
    await machine.run('podman', ['unshare', 'unshare', '--mount', 'sh', '-c', MOUNT]);
    return { check: CHECK, ok: true, required: false, found: 'mounts overlays, and crun is there' };
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    return missing(
      words,
      'install crun and util-linux; overlays in user namespaces need Linux 5.13',
    );
  }
}

/** On the same file system as the scratch layers, in a directory that goes again. */
const MOUNT = [
  'set -e; d=$(mktemp -d); trap \'rm -rf "$d"\' EXIT; cd "$d"; mkdir lower upper work merged',
  'mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr,index=off,uuid=off merged',
  'umount merged',
].join('\n');

function missing(found: string, repair: string): DoctorFinding {
  return { check: CHECK, ok: false, required: false, found, repair };
}
