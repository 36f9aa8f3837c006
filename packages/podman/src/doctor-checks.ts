import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { findCgroupBase } from './container-cgroup.ts';
import type { Env } from './find-socket.ts';
import type { InfoAnswer } from './podman-answers.ts';
import { limitsOf, userControllers } from './podman-host.ts';
import { DOCTOR_COMMAND_MS_MAX } from './podman-limits.ts';
import { findStaticBusybox } from './static-busybox.ts';

/** One thing that rootless Podman needs, what was found, and how to repair it when that is not enough. */
export interface DoctorFinding {
  readonly check: string;
  readonly ok: boolean;
  /** Without it no task runs here; the others cost only what `found` says. */
  readonly required: boolean;
  readonly found: string;
  readonly repair?: string;
}

/** The machine as the checks see it, so that tests can show them another. */
export interface DoctorMachine {
  readonly env: Env;
  readonly user: { readonly name: string; readonly uid: number };
  /** Standard output; rejects with an Error whose message says why not. */
  run(command: string, args: readonly string[]): Promise<string>;
  /** The text of a file, or undefined. */
  read(path: string): Promise<string | undefined>;
  isUsable(path: string): Promise<boolean>;
  staticBusybox(): Promise<string | undefined>;
  cgroupBase(): Promise<string | undefined>;
  /** What systemd delegates to the user; undefined without it. */
  userControllers(): Promise<readonly string[] | undefined>;
  /** Runs a container without any image; undefined, or why it failed. */
  tryContainer(busybox: string): Promise<string | undefined>;
}

/** Looks at everything rootless Podman needs. Changes nothing; takes about a second. */
export async function checkRootlessPodman(
  machine: DoctorMachine = thisMachine(process.env),
): Promise<readonly DoctorFinding[]> {
  const info = await podmanInfo(machine);
  const findings = await Promise.all([
    checkUser(machine),
    checkPodman(machine),
    checkSubordinateIds(machine),
    checkMappers(machine),
    checkRuntimeDirectory(machine),
    checkStorage(info),
    checkLimits(machine, info),
    checkLinger(machine),
    checkBusybox(machine),
    checkNetwork(machine),
    checkContainer(machine),
  ]);
  return findings;
}

/** The machine this process runs on. */
export function thisMachine(env: Env): DoctorMachine {
  const { username, uid } = userInfo();
  const run = (command: string, args: readonly string[]) => runCommand(command, args, env);
  return {
    env,
    user: { name: username, uid },
    run,
    read: (path) => readFile(path, 'utf8').catch(() => undefined),
    isUsable: (path) =>
      access(path, constants.R_OK | constants.W_OK).then(
        () => true,
        () => false,
      ),
    staticBusybox: () => findStaticBusybox(),
    cgroupBase: findCgroupBase,
    userControllers,
    tryContainer: (busybox) => tryContainer(run, busybox),
  };
}

async function checkUser({ user }: DoctorMachine): Promise<DoctorFinding> {
  return finding('unprivileged user', user.uid !== 0, `${user.name} (uid ${user.uid})`, {
    repair: 'run podmesh as an ordinary user; in a checkout: scripts/rootless COMMAND',
  });
}

async function checkPodman(machine: DoctorMachine): Promise<DoctorFinding> {
  const repair = 'install podman 4.3 or newer (Debian: apt-get install podman)';
  try {
    const version = (await machine.run('podman', ['--version'])).trim();
    const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(version)?.slice(1) ?? []).map(Number);
    return finding('podman', major > 4 || (major === 4 && minor >= 3), version, { repair });
  } catch (error) {
    return finding('podman', false, reasonOf(error), { repair });
  }
}

async function checkSubordinateIds(machine: DoctorMachine): Promise<DoctorFinding> {
  const { name, uid } = machine.user;
  const missing: string[] = [];
  for (const file of ['/etc/subuid', '/etc/subgid']) {
    const lines = (await machine.read(file))?.split('\n') ?? [];
    const isOurs = (line: string) => line.startsWith(`${name}:`) || line.startsWith(`${uid}:`);
    if (!lines.some(isOurs)) missing.push(file);
  }
  const found =
    missing.length === 0 ? 'has ranges' : `${name} has no range in ${missing.join(', ')}`;
  return finding('subordinate ids', missing.length === 0, found, {
    repair: `as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name}`,
  });
}

async function checkMappers(machine: DoctorMachine): Promise<DoctorFinding> {
  const paths = (machine.env.PATH ?? '').split(':');
  const isThere = async (program: string) => {
    const texts = await Promise.all(paths.map((path) => machine.read(join(path, program))));
    return texts.some((text) => text !== undefined);
  };
  const missing: string[] = [];
  for (const program of ['newuidmap', 'newgidmap']) {
    if (!(await isThere(program))) missing.push(program);
  }
  const found = missing.length === 0 ? 'in PATH' : `not in PATH: ${missing.join(', ')}`;
  return finding('newuidmap', missing.length === 0, found, {
    repair: 'install them (Debian: apt-get install uidmap)',
  });
}

async function checkRuntimeDirectory(machine: DoctorMachine): Promise<DoctorFinding> {
  const path = machine.env.XDG_RUNTIME_DIR;
  const { uid } = machine.user;
  const ok = path !== undefined && (await machine.isUsable(path));
  const found = path === undefined ? 'XDG_RUNTIME_DIR is not set' : path;
  return finding('runtime directory', ok, ok || path === undefined ? found : `${path} not usable`, {
    repair: `as root: install -d -m 700 -o ${uid} /run/user/${uid}; then export XDG_RUNTIME_DIR=/run/user/${uid}`,
  });
}

async function checkStorage(info: InfoAnswer | Error): Promise<DoctorFinding> {
  if (info instanceof Error) return finding('storage driver', false, info.message, {});
  const driver = info.store.graphDriverName;
  return finding('storage driver', driver === 'overlay', driver, {
    required: false,
    repair:
      'other drivers copy every image layer. Put driver="overlay" under [storage] into ' +
      '~/.config/containers/storage.conf; an existing store must be emptied first: podman system reset',
  });
}

async function checkLimits(
  machine: DoctorMachine,
  info: InfoAnswer | Error,
): Promise<DoctorFinding> {
  if (info instanceof Error) return finding('limits', false, info.message, {});
  const { cgroupVersion, cgroupManager, cgroupControllers } = info.host;
  const ofUser = await machine.userControllers();
  const ok = limitsOf(info, await machine.cgroupBase(), ofUser).memory === 'kernel';
  const there = (cgroupManager === 'systemd' ? ofUser : undefined) ?? cgroupControllers;
  const delegated = there?.join(', ') || 'none';
  const found = `cgroup ${cgroupVersion} by ${cgroupManager}, delegated controllers: ${delegated}`;
  return finding(
    'limits',
    ok,
    ok ? found : `${found}; cpus are not limited; memory and pids are watched`,
    {
      required: false,
      repair:
        'boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1) and delegate: as root, put ' +
        '[Service] Delegate=cpu cpuset io memory pids into /etc/systemd/system/user@.service.d/delegate.conf, ' +
        'then systemctl daemon-reload and log in again',
    },
  );
}

async function checkLinger(machine: DoctorMachine): Promise<DoctorFinding> {
  const { name } = machine.user;
  try {
    const args = ['show-user', name, '--property=Linger', '--value'];
    const linger = (await machine.run('loginctl', args)).trim();
    return finding(
      'linger',
      linger === 'yes',
      linger === 'yes' ? 'on' : 'off: logout ends podmesh',
      {
        required: false,
        repair: `loginctl enable-linger ${name}`,
      },
    );
  } catch {
    return finding('linger', true, 'not applicable: systemd-logind does not run here', {});
  }
}

async function checkBusybox(machine: DoctorMachine): Promise<DoctorFinding> {
  const path = await machine.staticBusybox();
  return finding('static busybox', path !== undefined, path ?? 'none: no fd outputs', {
    required: false,
    repair: 'install it (Debian: apt-get install busybox-static)',
  });
}

async function checkNetwork(machine: DoctorMachine): Promise<DoctorFinding> {
  const ok = await machine.isUsable('/dev/net/tun');
  return finding(
    'network device',
    ok,
    ok ? '/dev/net/tun' : '/dev/net/tun not usable: no "net" jobs',
    {
      required: false,
      repair: 'as root: modprobe tun; chmod 666 /dev/net/tun',
    },
  );
}

async function checkContainer(machine: DoctorMachine): Promise<DoctorFinding> {
  const busybox = await machine.staticBusybox();
  if (busybox === undefined) {
    return finding('a container runs', true, 'not tried: it needs a static busybox', {});
  }
  const problem = await machine.tryContainer(busybox);
  return finding('a container runs', problem === undefined, problem ?? 'tried one', {
    repair:
      'read the words above. "cgroups in hybrid mode": use scripts/rootless, or put runtime="runc" ' +
      'under [engine] into ~/.config/containers/containers.conf. After other changes: podman system migrate',
  });
}

function finding(
  check: string,
  ok: boolean,
  found: string,
  rest: { required?: boolean; repair?: string },
): DoctorFinding {
  const { required = true, repair } = rest;
  return { check, ok, required, found, ...(ok || repair === undefined ? {} : { repair }) };
}

async function podmanInfo(machine: DoctorMachine): Promise<InfoAnswer | Error> {
  try {
    return JSON.parse(await machine.run('podman', ['info', '--format', 'json'])) as InfoAnswer;
  } catch (error) {
    return new Error(reasonOf(error));
  }
}

/** From a directory instead of an image, so that an empty store is enough. */
async function tryContainer(
  run: DoctorMachine['run'],
  busybox: string,
): Promise<string | undefined> {
  const root = await mkdtemp(join(tmpdir(), 'podmesh-doctor-'));
  try {
    for (const directory of ['dev', 'etc', 'proc', 'run', 'sys', 'tmp']) {
      await mkdir(join(root, directory));
    }
    await copyFile(busybox, join(root, 'busybox'));
    await chmod(join(root, 'busybox'), 0o755);
    const options = ['--rm', '--network=none', '--cap-drop=all', '--log-driver=none'];
    await run('podman', ['run', ...options, '--rootfs', root, '/busybox', 'true']);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

function runCommand(command: string, args: readonly string[], env: Env): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...env }, timeout: DOCTOR_COMMAND_MS_MAX };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr.trim() || error.message, { cause: error }));
    });
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
