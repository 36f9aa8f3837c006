import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { within } from './within.ts';

const READY_MS = 240_000;
const MANAGER = 'org.freedesktop.login1.Manager';

/** A system bus of one machine of a test, on which logind says that the machine goes to sleep, or is awake. */
export class FakeLogind {
  readonly env: Readonly<Record<string, string>>;
  readonly #under: readonly string[];
  readonly #bus: ReturnType<typeof spawn>;

  private constructor(
    env: Readonly<Record<string, string>>,
    under: readonly string[],
    bus: ReturnType<typeof spawn>,
  ) {
    this.env = env;
    this.#under = under;
    this.#bus = bus;
  }

  /** `under`: what runs commands on that machine; whoever is somebody else there, the bus lets in nobody. */
  static async start(folder: string, under: readonly string[]): Promise<FakeLogind> {
    const address = `unix:path=${join(folder, 'system-bus')}`;
    const words = ['dbus-daemon', '--session', '--nofork', '--print-address'];
    const [program = '', ...rest] = [...under, ...words, `--address=${address}`];
    const bus = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    await within(READY_MS, () => 'a bus', once(createInterface({ input: bus.stdout }), 'line'));
    return new FakeLogind({ DBUS_SYSTEM_BUS_ADDRESS: address }, under, bus);
  }

  async prepareForSleep(begins: boolean): Promise<void> {
    const bus = `--bus=${this.env.DBUS_SYSTEM_BUS_ADDRESS}`;
    const what = ['/org/freedesktop/login1', `${MANAGER}.PrepareForSleep`, `boolean:${begins}`];
    const [program = '', ...rest] = [...this.#under, 'dbus-send', bus, '--type=signal', ...what];
    await promisify(execFile)(program, rest);
  }

  /** Works twice. */
  async stop(): Promise<void> {
    if (this.#bus.exitCode !== null || this.#bus.signalCode !== null) return;
    this.#bus.kill('SIGTERM');
    await once(this.#bus, 'exit');
  }
}
