import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';

/** The library's side of somebody who answers. */
interface Service {
  readonly connection: NodeJS.EventEmitter & { end(): void };
  requestName(name: string, flags: number, callback: (error: unknown) => void): void;
  setMethodCallHandler(
    path: string,
    iface: string,
    member: string,
    handler: [(...body: unknown[]) => unknown, string],
  ): void;
  exportInterface(object: object, path: string, iface: object): void;
  sendSignal(path: string, iface: string, name: string, signature: string, body: unknown[]): void;
}

const LOGIND = 'org.freedesktop.login1';
const MANAGER_PATH = '/org/freedesktop/login1';
const MANAGER = `${LOGIND}.Manager`;
const NETWORK_MANAGER = 'org.freedesktop.NetworkManager';

const NETWORK_MANAGER_PATH = '/org/freedesktop/NetworkManager';
// logind has 64 bits for IdleSinceHint (`t`), which the library cannot write under vitest's import conditions.
const SESSION = {
  name: `${LOGIND}.Session`,
  methods: {},
  properties: { Class: 's', State: 's', IdleHint: 'b', LockedHint: 'b', IdleSinceHint: 'd' },
};
const NETWORK = { name: NETWORK_MANAGER, methods: {}, properties: { Metered: 'u' } };

/** A session as logind tells of it. */
export interface FakeSession {
  seat: string;
  Class: string;
  State: string;
  IdleHint: boolean;
  LockedHint: boolean;
  /** Microseconds of the wall clock. */
  IdleSinceHint: number;
}

/** A bus of its own with a logind and a NetworkManager on it, both as the test says. */
export class FakeSystemBus {
  readonly env: NodeJS.ProcessEnv;
  readonly sessions = new Map<string, FakeSession>();
  readonly network = { Metered: 0 };
  readonly #service: Service;
  readonly #daemon: ReturnType<typeof spawn>;

  private constructor(address: string, service: Service, daemon: ReturnType<typeof spawn>) {
    this.env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: address };
    this.#service = service;
    this.#daemon = daemon;
  }

  static async start(): Promise<FakeSystemBus> {
    const folder = await mkdtemp(join(tmpdir(), 'podmesh-bus-'));
    const address = `unix:path=${join(folder, 'bus')}`;
    const words = ['--session', '--nofork', '--print-address', `--address=${address}`];
    const daemon = spawn('dbus-daemon', words, { stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(async () => {
      if (daemon.exitCode === null && daemon.signalCode === null) {
        daemon.kill('SIGTERM');
        await once(daemon, 'exit');
      }
      await rm(folder, { recursive: true, force: true });
    });
    await once(createInterface({ input: daemon.stdout }), 'line');
    const library = createRequire(import.meta.url)('@homebridge/dbus-native');
    const service = library.createClient({ busAddress: address }) as Service;
    service.connection.on('error', () => undefined);
    await once(service.connection, 'connect');
    onTestFinished(() => service.connection.end());
    const bus = new FakeSystemBus(address, service, daemon);
    bus.#answer();
    for (const name of [LOGIND, NETWORK_MANAGER]) {
      await new Promise<void>((resolve, reject) => {
        service.requestName(name, 0, (error) => (error ? reject(error) : resolve()));
      });
    }
    return bus;
  }

  addSession(id: string, changes: Partial<FakeSession> = {}): FakeSession {
    const path = `${MANAGER_PATH}/session/${id}`;
    const session: FakeSession = {
      seat: 'seat0',
      Class: 'user',
      State: 'active',
      IdleHint: false,
      LockedHint: false,
      IdleSinceHint: 0,
      ...changes,
    };
    this.sessions.set(path, session);
    this.#service.exportInterface(session, path, SESSION);
    return session;
  }

  /** As logind tells it, before a sleep and after it. */
  prepareForSleep(begins: boolean): void {
    this.#service.sendSignal(MANAGER_PATH, MANAGER, 'PrepareForSleep', 'b', [begins]);
  }

  /** The bus dies with all who are on it. */
  async kill(): Promise<void> {
    this.#daemon.kill('SIGKILL');
    await once(this.#daemon, 'exit');
  }

  #answer(): void {
    const list = () =>
      [...this.sessions].map(([path, { seat }]) => [
        path.split('/').at(-1),
        1_000,
        'ann',
        seat,
        path,
      ]);
    this.#on(MANAGER_PATH, MANAGER, 'ListSessions', [list, 'a(susso)']);
    this.#service.exportInterface(this.network, NETWORK_MANAGER_PATH, NETWORK);
  }

  #on(
    path: string,
    iface: string,
    member: string,
    handler: Parameters<Service['setMethodCallHandler']>[3],
  ) {
    this.#service.setMethodCallHandler(path, iface, member, handler);
  }
}
