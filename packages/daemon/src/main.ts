import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { type Configuration, parseConfiguration } from './configuration.ts';
import { Daemon } from './daemon.ts';
import { openDaemonLog } from './daemon-log.ts';
import { examineMachine } from './doctor.ts';
import type { AttemptStep } from './execute/attempt-step.ts';
import { type DaemonFile, Home } from './home.ts';
import { type ImageVoice, runImageOrder } from './image/image-command.ts';
import { parseImageOrder } from './image/image-order.ts';
import { findMeshes } from './membership/discovery.ts';
import { type StopSignals, stopSignals } from './stop-signals.ts';
import { killOnceAt, machineSize, parseKillStep } from './test-hooks.ts';

const VERSION = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;

/** Exit codes of the daemon, the same as the command line's. */
const FAILED = 1;
const WRONG_ARGUMENTS = 2;

// All that was started has been stopped by then; a forgotten timer must not keep its owner waiting.
process.exit(await main());

async function main(): Promise<number> {
  const [verb, ...words] = process.argv.slice(2);
  return verb === 'image' ? runImage(words) : runPeer();
}

async function runPeer(): Promise<number> {
  const parsed = parseConfiguration(process.argv.slice(2), process.env, machineSize(process.env));
  if (!parsed.ok) return refuse(parsed.error);
  const hook = parseKillStep(process.env);
  if (!hook.ok) return refuse([hook.error]);
  const configuration = parsed.value;
  if (configuration.command === 'doctor') {
    const findings = await examineMachine(process.env);
    process.stdout.write(`${JSON.stringify(findings)}\n`);
    return 0;
  }
  if (configuration.command === 'discover') {
    const found = await findMeshes(configuration.waitMs);
    process.stdout.write(`${JSON.stringify(found)}\n`);
    return 0;
  }
  if (isForbiddenRoot(configuration)) return refuse([refusalOfRoot('up')]);
  return run(configuration, hook.value);
}

/** `podmesh-daemon image …`: an errand on this machine, beside a daemon that may run or not. */
async function runImage(words: readonly string[]): Promise<number> {
  const parsed = parseImageOrder(words, process.env);
  if (!parsed.ok) return refuse(parsed.error);
  if (isForbiddenRoot(parsed.value)) return refuse([refusalOfRoot('image')]);
  const voice: ImageVoice = {
    tell: (line) => process.stdout.write(`${JSON.stringify(line)}\n`),
    show: (bytes) => process.stderr.write(bytes),
  };
  const { stop } = stopSignals();
  try {
    await runImageOrder(parsed.value, process.env, voice, stop);
    return 0;
  } catch (error) {
    process.stderr.write(`podmesh: ${messageOf(error)}\n`);
    return FAILED;
  }
}

function refuse(problems: readonly string[]): number {
  for (const problem of problems) process.stderr.write(`podmesh: ${problem}\n`);
  return WRONG_ARGUMENTS;
}

function isForbiddenRoot({ allowRoot }: { readonly allowRoot: boolean }): boolean {
  return process.getuid?.() === 0 && !allowRoot;
}

function refusalOfRoot(command: string): string {
  return (
    `containers run without root: use "scripts/rootless podmesh ${command}", ` +
    'or an account of your own; --allow-root if you must'
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function run(configuration: Configuration, killAt?: AttemptStep): Promise<number> {
  await mkdir(configuration.home, { recursive: true, mode: 0o700 });
  const home = new Home(configuration.home);
  const signals = stopSignals();
  const { stop } = signals;
  let daemon: Daemon | undefined;
  try {
    await home.take(VERSION);
    const peer = await home.peer(configuration.name);
    const logger = openDaemonLog(home.at('daemon.log'), { peer });
    const onStep = killAt && killOnceAt(killAt, home.path);
    daemon = new Daemon({ configuration, home, logger, peer, version: VERSION, onStep });
    // A signal need not wait for a mesh or a Podman that does not answer.
    await Promise.race([daemon.start(), aborted(stop)]);
    if (stop.aborted) return 0;
    const nats = daemon.natsUrl;
    const { untilIdle: temporary } = configuration;
    const { socket, registry } = daemon;
    const announcement: DaemonFile = {
      pid: process.pid,
      peer,
      nats,
      version: VERSION,
      temporary,
      graceMs: configuration.graceMs,
      ...(socket === undefined ? {} : { socket }),
      ...(registry === undefined ? {} : { registry }),
    };
    await home.announce(announcement);
    process.stdout.write(`${JSON.stringify({ ready: true, peer, nats, registry })}\n`);
    logger.info(`peer ${peer} is up`);
    if (temporary) await untilIdle(home, daemon, announcement, stop);
    else await Promise.race([aborted(stop), untilExit(daemon, configuration, stop)]);
    logger.info('stopping');
    await drain(daemon, configuration, signals);
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    process.stderr.write(`podmesh: ${messageOf(error)}\n`);
    return FAILED;
  } finally {
    await home.withdraw();
    await daemon?.stop();
    await home.release();
  }
}

/** Resolves when a machine that is to leave by itself had nothing to do for long enough. */
async function untilExit(
  daemon: Daemon,
  { exitWhenIdleMs }: Configuration,
  stop: AbortSignal,
): Promise<void> {
  if (exitWhenIdleMs === undefined) return aborted(stop);
  await daemon.untilIdleFor(exitWhenIdleMs, stop);
}

/** What runs has its grace, unless somebody signals once more. A temporary peer whose work is done has nothing left. */
async function drain(
  daemon: Daemon,
  { graceMs }: Configuration,
  { atOnce }: StopSignals,
): Promise<void> {
  if (atOnce.aborted) return;
  if (daemon.isBusy) {
    const seconds = graceMs / 1_000;
    process.stderr.write(
      `podmesh: what runs has ${seconds} s to end, and is given back then; signal once more to end at once\n`,
    );
  }
  await Promise.race([daemon.drainToStop(graceMs), aborted(atOnce)]);
  if (atOnce.aborted) daemon.endAtOnce();
}

/**
 * Withdraws first and then looks once more: a run that was published while we were still announced is
 * seen, and one that comes later finds no daemon and starts its own.
 */
async function untilIdle(
  home: Home,
  daemon: Daemon,
  announcement: DaemonFile,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await daemon.untilIdle(signal);
    await home.withdraw();
    if (signal.aborted || !(await daemon.hasWork())) return;
    await home.announce(announcement);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
