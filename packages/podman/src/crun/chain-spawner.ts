import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../find-socket.ts';
import { CHAIN_SCRIPT, type Kitchen, sharedArguments } from './chain.ts';
import { CrunFailedError } from './crun-errors.ts';
import { NAMESPACE_MS_MAX, SPAWNER_WORDS_BYTES_MAX } from './crun-limits.ts';

interface Shell {
  readonly child: ChildProcess;
  /** The delegated cgroup it is in; absent where systemd gave none. */
  readonly cgroup?: string;
  /** Resolves when it is gone. */
  readonly gone: Promise<void>;
  /** True before anybody is told that it is gone: who comes later must not wait for being told. */
  readonly isGone: () => boolean;
  /** Who wants to know of that: orders of which nothing was heard yet. */
  readonly orders: Set<() => void>;
}

/**
 * A shell inside the namespace that starts chains: a line for each. Forking it costs a tenth of what
 * forking this process costs, and this process waits for neither. It ends with this process (its
 * standard input does); chains do not. When it was killed, the next chain gets a new one.
 *
 * Where the user's systemd answers, it lives in a scope with a delegated cgroup, the only place where a
 * process that was started in a login session may make cgroups with limits.
 */
export class ChainSpawner {
  readonly #kitchen: Kitchen;
  readonly #env: Env;
  #shell: Promise<Shell> | undefined;
  #isStopped = false;

  constructor(kitchen: Kitchen, env: Env) {
    this.#kitchen = kitchen;
    this.#env = env;
  }

  /** The delegated cgroup that chains are started in, if there is one. */
  async cgroup(): Promise<string | undefined> {
    return (await this.#living()).cgroup;
  }

  /**
   * Starts a chain. `onGone` is called when the shell that was told to is no more, unless the order was
   * forgotten before: call what is returned as soon as the chain was heard of.
   */
  async start(order: string, onGone: () => void): Promise<() => void> {
    const { child, orders } = await this.#living();
    orders.add(onGone);
    child.stdin?.write(`${order}\n`);
    return () => void orders.delete(onGone);
  }

  /** Chains go on. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const shell = await this.#shell?.catch(() => undefined);
    shell?.child.stdin?.end();
    await shell?.gone;
  }

  async #living(): Promise<Shell> {
    const known = this.#ready();
    const shell = await known;
    if (!shell.isGone()) return shell;
    if (this.#shell === known) this.#shell = undefined;
    return await this.#ready();
  }

  #ready(): Promise<Shell> {
    if (this.#isStopped) throw new CrunFailedError('start a container', 'the lane was closed');
    if (this.#shell === undefined) {
      const shell = this.#open();
      this.#shell = shell;
      const forget = () => {
        if (this.#shell === shell) this.#shell = undefined;
      };
      shell.then(({ gone }) => gone.then(forget), forget);
    }
    return this.#shell;
  }

  async #open(): Promise<Shell> {
    const runtimeDirectory = this.#env.XDG_RUNTIME_DIR ?? '';
    if (runtimeDirectory !== '' && existsSync(join(runtimeDirectory, 'systemd/private'))) {
      const scope = ['systemd-run', '--user', '--scope', '--quiet', '--collect'];
      const name = '--description=podmesh: containers of the fast lane';
      // By itself a scope may have 15 % of the machine's processes, less than a task may.
      const properties = ['--property=Delegate=yes', '--property=TasksMax=infinity'];
      const found = await this.#launch([...scope, name, ...properties, '--']).catch(
        () => undefined,
      );
      if (found !== undefined) return found;
    }
    return await this.#launch([]);
  }

  #launch(prefix: readonly string[]): Promise<Shell> {
    const { namespace, busybox } = this.#kitchen;
    const shell = [busybox, 'sh', '-c', SPAWNER_SCRIPT, busybox, CHAIN_SCRIPT];
    const words = namespace.words([...shell, ...sharedArguments(this.#kitchen)]);
    const [command = '', ...args] = [...prefix, ...words];
    const child = spawn(command, args, {
      detached: true,
      cwd: '/',
      // systemd-run finds the user's systemd by these; the shell drops them.
      env: {
        ...namespace.env,
        ...pick(this.#env, ['XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS']),
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    return new Promise((resolve, reject) => {
      let said = '';
      let complaint = '';
      const orders = new Set<() => void>();
      const gone = new Promise<void>((tell) => child.once('close', () => tell()));
      let isGone = false;
      child.once('close', () => {
        isGone = true;
        for (const onGone of orders) onGone();
      });
      const fail = (reason: string) => {
        clearTimeout(timer);
        child.kill('SIGKILL');
        reject(new CrunFailedError('enter the namespace', complaint.trim() || reason));
      };
      const timer = setTimeout(() => fail('it took too long'), NAMESPACE_MS_MAX);
      child.once('error', (error) => fail(error.message));
      child.once('close', () => fail('the shell ended'));
      child.stdin.on('error', () => undefined);
      child.stderr.on('data', (chunk: Buffer) => {
        complaint = (complaint + chunk.toString()).slice(-SPAWNER_WORDS_BYTES_MAX);
      });
      child.stdout.on('data', (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-SPAWNER_WORDS_BYTES_MAX);
        const match = /^ready (.*)\n/m.exec(said);
        if (match === null) return;
        clearTimeout(timer);
        child.unref();
        const isDelegated = prefix.length > 0 && match[1] !== '';
        resolve({
          child,
          gone,
          isGone: () => isGone,
          orders,
          ...(isDelegated && match[1] ? { cgroup: match[1] } : {}),
        });
      });
    });
  }
}

/**
 * In a scope of its own, it first makes room: the kernel lets a cgroup hand controllers on only when no
 * process is in it. Each chain is forked twice, so that init, and not this shell, has to bury it.
 */
const SPAWNER_SCRIPT = [
  'unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS',
  'own=; while IFS=: read -r n c p; do [ "$n$c" != 0 ] || own=$p; done </proc/self/cgroup',
  'g=/sys/fs/cgroup$own',
  'case $own in *.scope) mkdir -p "$g/self" 2>/dev/null && echo $$ >"$g/self/cgroup.procs" &&',
  'echo "+cpu +memory +pids" >"$g/cgroup.subtree_control" || own= ;; *) own= ;; esac',
  'echo "ready $own"',
  'c=$1; shift; IFS=$(printf "\\t")',
  'while read -r d redirections rest; do',
  // Unquoted: the rest are fields between tabs.
  '( { eval "exec $redirections"; set -f',
  'exec unshare --mount --propagation slave -- "$0" sh -c "$c" podmesh-chain "$@" "$d" $rest; } & )',
  'done',
].join('\n');

function pick(env: Env, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
}
