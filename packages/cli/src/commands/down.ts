import { rm } from 'node:fs/promises';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { Home } from '../home/home.ts';
import { hasGone, sendSignal } from '../home/live-process.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** A daemon hands outputs over (30 s), gives back its claims, stops its containers (10 s grace) and its server. */
const STOP_MS = 90_000;
const LEFTOVER_MS = 10_000;

/** `podmesh down`: stops the daemon of this home and clears away what a killed one left. */
export async function down(world: World, { options }: Invocation): Promise<ExitCode> {
  const { home, terminal } = world;
  const daemon = await home.daemon();
  if (daemon !== undefined) await stopDaemon(daemon.pid, STOP_MS + daemon.graceMs);
  await home.forgetDaemon();
  const cleared = await clearLeftovers(home);
  const stopped = daemon?.peer;
  if (options.flag('json')) {
    await printJson(terminal, { ...(stopped === undefined ? {} : { stopped }), cleared });
    return EXIT.success;
  }
  await printLines(terminal, [
    stopped === undefined ? `no daemon runs in ${home.path}` : `peer ${stopped} is down`,
    ...cleared.map((what) => `cleared away a ${what} that a killed daemon left behind`),
  ]);
  return EXIT.success;
}

async function stopDaemon(pid: number, stopMs: number): Promise<void> {
  sendSignal(pid, 'SIGTERM');
  if (await hasGone(pid, stopMs)) return;
  throw new CliError(
    'daemon',
    `the daemon (process ${pid}) is still there after ${stopMs / 1_000} s`,
    {
      advice: `Its log says why. To end it at once: kill -9 ${pid}; podmesh down`,
    },
  );
}

async function clearLeftovers(home: Home): Promise<readonly string[]> {
  const cleared: string[] = [];
  for (const { what, pid, file } of await home.leftovers()) {
    sendSignal(pid, 'SIGTERM');
    if (!(await hasGone(pid, LEFTOVER_MS))) {
      sendSignal(pid, 'SIGKILL');
      await hasGone(pid, LEFTOVER_MS);
    }
    await rm(file, { force: true });
    cleared.push(what);
  }
  return cleared;
}
