import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { type Configuration, parseConfiguration } from './configuration.ts';
import { Daemon } from './daemon.ts';
import { openDaemonLog } from './daemon-log.ts';
import { examineMachine } from './doctor.ts';
import { type DaemonFile, Home } from './home.ts';

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
  const parsed = parseConfiguration(process.argv.slice(2), process.env);
  if (!parsed.ok) {
    for (const problem of parsed.error) process.stderr.write(`podmesh: ${problem}\n`);
    return WRONG_ARGUMENTS;
  }
  const configuration = parsed.value;
  if (configuration.command === 'doctor') {
    const findings = await examineMachine(process.env);
    process.stdout.write(`${JSON.stringify(findings)}\n`);
    return 0;
  }
  if (process.getuid?.() === 0 && !configuration.allowRoot) {
    process.stderr.write(
      'podmesh: containers run without root: use "scripts/rootless podmesh up", or an account of your own; --allow-root if you must\n',
    );
    return WRONG_ARGUMENTS;
  }
  return run(configuration);
}

async function run(configuration: Configuration): Promise<number> {
  await mkdir(configuration.home, { recursive: true, mode: 0o700 });
  const home = new Home(configuration.home);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  let daemon: Daemon | undefined;
  try {
    await home.take();
    const peer = await home.peer(configuration.name);
    const logger = openDaemonLog(home.at('daemon.log'), { peer });
    daemon = new Daemon({ configuration, home, logger, peer, version: VERSION });
    // A signal need not wait for a mesh or a Podman that does not answer.
    await Promise.race([daemon.start(), aborted(stop.signal)]);
    if (stop.signal.aborted) return 0;
    const nats = daemon.natsUrl;
    const { untilIdle: temporary } = configuration;
    const announcement = { pid: process.pid, peer, nats, version: VERSION, temporary };
    await home.announce(announcement);
    process.stdout.write(`${JSON.stringify({ ready: true, peer, nats })}\n`);
    logger.info(`peer ${peer} is up`);
    if (temporary) await untilIdle(home, daemon, announcement, stop.signal);
    else await aborted(stop.signal);
    logger.info('stopping');
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    process.stderr.write(`podmesh: ${error instanceof Error ? error.message : String(error)}\n`);
    return FAILED;
  } finally {
    await home.withdraw();
    await daemon?.stop();
    await home.release();
  }
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
