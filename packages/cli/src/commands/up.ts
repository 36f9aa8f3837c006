import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { DaemonReady } from '../home/daemon-program.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';
import { isMemberOf, joinHome } from './join.ts';
import { refuseRoot } from './refuse-root.ts';

/** Options that the daemon understands by the same name. */
const PASSED_ON = [
  'nats',
  'name',
  'cores',
  'memory',
  'disk',
  'runtime',
  'serve',
  'listen',
  'registry-port',
  'metrics-port',
  'grace',
  'exit-when-idle',
  'cloud',
] as const;

/** `podmesh up`: the daemon in the foreground, or detached. */
export async function up(world: World, { options }: Invocation): Promise<ExitCode> {
  refuseRoot(world, 'up', options.flag('allow-root'));
  await world.home.prepare();
  const running = await world.home.daemon();
  if (running?.temporary === true) {
    throw new CliError('daemon', 'a temporary peer still works here, for a "podmesh run"', {
      advice: 'It leaves when its runs are done; to end it now: podmesh down',
    });
  }
  const line = options.text('join');
  if (line !== undefined) await joinFirst(world, line, options.text('name'));
  const words = daemonWords(options);
  if (!options.flag('detach')) {
    return world.daemon.runInForeground(words, (ready) => void tellReady(world, options, ready));
  }
  const ready = running ?? (await world.daemon.startInBackground(words));
  if (running !== undefined) world.terminal.err('a daemon is already up here; nothing to do\n');
  await tellReady(world, options, ready);
  return EXIT.success;
}

/** A service starts with the same words each time: the second time there is nothing to join. */
async function joinFirst(world: World, line: string, name: string | undefined): Promise<void> {
  if (await isMemberOf(world, line)) return;
  const { mesh, name: member } = await joinHome(world, line, name);
  world.terminal.err(`this machine is ${member} in the mesh ${mesh}\n`);
}

function daemonWords(options: Options): readonly string[] {
  const words = PASSED_ON.flatMap((name) => {
    const value = options.text(name);
    return value === undefined ? [] : [`--${name}`, value];
  });
  const repeated = (['label', 'mirror'] as const).flatMap((name) =>
    options.texts(name).flatMap((text) => [`--${name}`, text]),
  );
  const flags = ['allow-root', 'no-discovery', 'auto-anchors'].filter((name) => options.flag(name));
  return [...words, ...repeated, ...flags.map((name) => `--${name}`)];
}

async function tellReady(
  world: World,
  options: Options,
  { peer, nats, registry }: DaemonReady,
): Promise<void> {
  if (options.flag('json')) return printJson(world.terminal, { peer, nats, registry });
  await printLines(world.terminal, [
    `peer ${peer} is up`,
    whereMesh(world, nats),
    ...(registry === undefined
      ? []
      : [
          `images for all its peers: podman push ${registry}/NAME:TAG, then mesh/NAME:TAG in documents`,
        ]),
  ]);
}

function whereMesh({ home }: World, nats: string): string {
  return nats.startsWith('mesh:')
    ? `what it needs to be in its mesh is in ${nats.slice('mesh:'.length)}, for you only`
    : `its mesh is at ${withoutToken(nats)}; the address with its token is in ${home.at('daemon.json')}`;
}

/** Standard output may end in a journal that others can read. */
function withoutToken(url: string): string {
  return url.replace(/\/\/[^/@]*@/g, '//');
}
