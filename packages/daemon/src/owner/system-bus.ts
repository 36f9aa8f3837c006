/** A call that nobody answers fails after this. */
const CALL_MS_MAX = 3_000;
const CONNECT_MS_MAX = 3_000;

/** What the library gives us, as far as we use it; its own types leave most of it out. */
interface Library {
  createClient(options: { readonly busAddress: string }): Bus;
}
interface Bus {
  readonly connection: NodeJS.EventEmitter & { end(): void };
  invoke(message: object, callback: (error: unknown, ...values: unknown[]) => void): void;
  invokeDbus(message: object, callback: (error: unknown) => void): void;
}
interface Signal {
  readonly type: number;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly body?: readonly unknown[];
}
const SIGNAL = 4;

/** Where on the bus something is. */
export interface BusObject {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
}

/**
 * The system's D-Bus, where logind and NetworkManager are. Every call rejects where there is no bus or nobody of that
 * name; a connection that broke is made anew by the next call.
 */
export class SystemBus {
  readonly #address: string;
  #bus: Promise<Bus> | undefined;
  readonly #onBroken = new Set<() => void>();

  constructor(env: NodeJS.ProcessEnv) {
    this.#address = env.DBUS_SYSTEM_BUS_ADDRESS || 'unix:path=/run/dbus/system_bus_socket';
  }

  async call(object: BusObject, member: string, signature = '', body: unknown[] = []) {
    const bus = await this.#connected();
    const arguments_ = signature === '' ? {} : { signature, body };
    return within(CALL_MS_MAX, `${object.destination} to answer ${member}`, (resolve, reject) => {
      bus.invoke({ ...object, member, ...arguments_ }, (error, value) =>
        error ? reject(asError(error)) : resolve(value),
      );
    });
  }

  /** The value itself, without the variant around it. */
  async property({ interface: name, ...object }: BusObject, property: string): Promise<unknown> {
    const properties = { ...object, interface: 'org.freedesktop.DBus.Properties' };
    const variant = await this.call(properties, 'Get', 'ss', [name, property]);
    return insideOf(variant);
  }

  /** Calls back at each such signal, until the connection breaks: then `onBroken`, once. */
  async listen(
    object: Omit<BusObject, 'destination'>,
    member: string,
    { heard, onBroken }: { heard: (body: readonly unknown[]) => void; onBroken: () => void },
  ): Promise<void> {
    const bus = await this.#connected();
    const rule = `type='signal',path='${object.path}',interface='${object.interface}',member='${member}'`;
    bus.connection.on('message', (signal: Signal) => {
      if (signal.type !== SIGNAL || signal.member !== member) return;
      if (signal.path === object.path && signal.interface === object.interface)
        heard(signal.body ?? []);
    });
    this.#onBroken.add(onBroken);
    await within(CALL_MS_MAX, 'the bus to take a match', (resolve, reject) => {
      bus.invokeDbus({ member: 'AddMatch', signature: 's', body: [rule] }, (error) =>
        error ? reject(asError(error)) : resolve(undefined),
      );
    });
  }

  /** Harmless twice. */
  async stop(): Promise<void> {
    const bus = await this.#bus?.catch(() => undefined);
    this.#onBroken.clear();
    this.#bus = undefined;
    bus?.connection.end();
  }

  #connected(): Promise<Bus> {
    this.#bus ??= this.#connect();
    return this.#bus;
  }

  async #connect(): Promise<Bus> {
    try {
      const bus = await openBus(this.#address);
      const broken = (): void => this.#break();
      await within(CONNECT_MS_MAX, 'the system bus', (resolve, reject) => {
        bus.connection.once('connect', resolve);
        bus.connection.on('error', (error) => {
          reject(asError(error));
          broken();
        });
        bus.connection.once('end', broken);
      });
      return bus;
    } catch (error) {
      this.#bus = undefined;
      throw error;
    }
  }

  #break(): void {
    this.#bus = undefined;
    const told = [...this.#onBroken];
    this.#onBroken.clear();
    for (const tell of told) tell();
  }
}

/** Loaded when it is first needed: most machines that test have no bus. */
async function openBus(busAddress: string): Promise<Bus> {
  const { default: library } = (await import('@homebridge/dbus-native')) as unknown as {
    readonly default: Library;
  };
  return library.createClient({ busAddress });
}

function within(
  ms: number,
  what: string,
  start: (resolve: (value: unknown) => void, reject: (error: Error) => void) => void,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`waited ${ms / 1_000} s for ${what}`)), ms);
    const settle =
      <T>(end: (value: T) => void) =>
      (value: T): void => {
        clearTimeout(late);
        end(value);
      };
    start(settle(resolve), settle(reject));
  });
}

/** The library has `[signature, [value]]` for a variant, and pairs for a dictionary. */
function insideOf(variant: unknown): unknown {
  if (!Array.isArray(variant) || !Array.isArray(variant[1])) return variant;
  return variant[1][0];
}

function asError(error: unknown): Error {
  if (error instanceof Error) return error;
  const { name, message } = Object(error);
  const text = Array.isArray(message) ? message.join(' ') : message;
  return new Error([name, text].filter(Boolean).map(String).join(': ') || String(error));
}
