import { setTimeout as pause } from 'node:timers/promises';
import { bracketed } from '@podmesh/transfer';
import { Bonjour, type Service } from 'bonjour-service';

/** A mesh that tells of itself. Anybody on the network can say anything: joining needs a line, which proves it. */
export interface FoundMesh {
  readonly mesh: string;
  /** The machine that carries it. */
  readonly peer: string;
  /** `host:port` each. */
  readonly servers: readonly string[];
}

export interface Announced {
  readonly mesh: string;
  readonly peer: string;
  readonly port: number;
}

/** `_podmesh._tcp`: DNS-SD (RFC 6763) over mDNS (RFC 6762). */
const TYPE = 'podmesh';
const FOUND_MAX = 100;
const ADDRESSES_MAX = 8;
/** Whatever a stranger calls itself: nothing that a terminal would take for an order. */
const clean = (text: unknown): string =>
  String(text ?? '')
    .replace(/[^\x21-\x7e]/g, '')
    .slice(0, 64);

/** Tells the local network that a mesh is here; no secret, and nothing but its name and port. */
export class MeshAnnouncement {
  readonly #announced: Announced;
  readonly #onTrouble: (error: unknown) => void;
  #bonjour: Bonjour | undefined;

  constructor(announced: Announced, onTrouble: (error: unknown) => void) {
    this.#announced = announced;
    this.#onTrouble = onTrouble;
  }

  /** Never fails: where it cannot be told, it is not told. */
  start(): void {
    const { mesh, peer, port } = this.#announced;
    const bonjour = new Bonjour({}, this.#onTrouble);
    this.#bonjour = bonjour;
    // Two machines of one mesh have names of their own; nobody is asked whether the name is free.
    const name = `${mesh} on ${peer}`.slice(0, 63);
    bonjour.publish({ name, type: TYPE, port, txt: { mesh, peer }, probe: false });
  }

  /** Says goodbye, so that others forget it at once. Harmless when never started, or twice. */
  async stop(): Promise<void> {
    const bonjour = this.#bonjour;
    this.#bonjour = undefined;
    if (bonjour === undefined) return;
    await new Promise<void>((resolve) => bonjour.unpublishAll(() => resolve()));
    bonjour.destroy();
  }
}

/** What tells of itself within the time; empty where nothing can be asked. */
export async function findMeshes(waitMs: number): Promise<readonly FoundMesh[]> {
  const found = new Map<string, FoundMesh>();
  const bonjour = new Bonjour({}, () => undefined);
  try {
    bonjour.find({ type: TYPE }, (service) => {
      const mesh = toMesh(service);
      if (found.size < FOUND_MAX) found.set(`${mesh.mesh} ${mesh.peer} ${mesh.servers}`, mesh);
    });
    await pause(waitMs);
  } finally {
    bonjour.destroy();
  }
  return [...found.values()].sort((a, b) => (a.mesh < b.mesh ? -1 : 1));
}

function toMesh({ txt, addresses = [], port, name }: Service): FoundMesh {
  const said = (txt ?? {}) as Readonly<Record<string, unknown>>;
  // Those of one line only would need to name the line.
  const reachable = addresses.filter((address) => !/^fe80:/i.test(address));
  const servers = reachable
    .slice(0, ADDRESSES_MAX)
    .map((one) => `${bracketed(clean(one))}:${port}`);
  return { mesh: clean(said.mesh ?? name), peer: clean(said.peer), servers };
}
