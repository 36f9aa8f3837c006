import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { DaemonReady } from '../home/daemon-program.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';
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
  const words = daemonWords(options);
  if (!options.flag('detach')) {
    return world.daemon.runInForeground(words, (ready) => void tellReady(world, options, ready));
  }
  const ready = running ?? (await world.daemon.startInBackground(words));
  if (running !== undefined) world.terminal.err('a daemon is already up here; nothing to do\n');
  await tellReady(world, options, ready);
  return EXIT.success;
}

function daemonWords(options: Options): readonly string[] {
  const words = PASSED_ON.flatMap((name) => {
    const value = options.text(name);
    return value === undefined ? [] : [`--${name}`, value];
  });
  const repeated = (['label', 'mirror'] as const).flatMap((name) =>
    options.texts(name).flatMap((text) => [`--${name}`, text]),
  );
  return [...words, ...repeated, ...(options.flag('allow-root') ? ['--allow-root'] : [])];
}

async function tellReady(
  world: World,
  options: Options,
  { peer, nats, registry }: DaemonReady,
): Promise<void> {
  if (options.flag('json')) return printJson(world.terminal, { peer, nats, registry });
  await printLines(world.terminal, [
    `peer ${peer} is up`,
    `its mesh is at ${withoutToken(nats)}; the address with its token is in ${world.home.at('daemon.json')}`,
    ...(registry === undefined
      ? []
      : [
          `images for all its peers: podman push ${registry}/NAME:TAG, then mesh/NAME:TAG in documents`,
        ]),
  ]);
}

/** Standard output may end in a journal that others can read. */
function withoutToken(url: string): string {
  return url.replace(/\/\/[^/@]*@/g, '//');
}
