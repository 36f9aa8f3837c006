/** What is known of one layer on its way. */
interface Layer {
  readonly bytes: number;
  readonly total: number;
  readonly done: boolean;
}

/**
 * What Podman has told of one pull so far. Its Docker-compatible half counts the bytes of each layer;
 * libpod's only names what it begins with. Both send JSON lines, and both send the failure as one.
 */
export class PullReport {
  readonly #layers = new Map<string, Layer>();
  #problem: string | undefined;
  #copiesUncounted = false;

  /** The text of the first error. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Whether silence may be work: layers are being unpacked, or copied by a Podman that does not count. */
  get mayBeSilent(): boolean {
    const layers = [...this.#layers.values()];
    return this.#copiesUncounted || (layers.length > 0 && layers.every(({ done }) => done));
  }

  /** `34 of 49 MiB`; empty while nothing was counted. */
  get amount(): string {
    let [bytes, total] = [0, 0];
    for (const layer of this.#layers.values()) {
      bytes += layer.bytes;
      total += layer.total;
    }
    return total === 0 ? '' : `${mebibytes(bytes)} of ${mebibytes(total)} MiB`;
  }

  /** Takes in one line of the answer. */
  hear(line: string): void {
    const said = parsed(line);
    if (typeof said.error === 'string' && said.error !== '') this.#problem ??= said.error;
    if (typeof said.stream === 'string' && said.stream.startsWith('Copying')) {
      this.#copiesUncounted = true;
    }
    if (typeof said.id !== 'string' || typeof said.status !== 'string') return;
    const before = this.#layers.get(said.id) ?? { bytes: 0, total: 0, done: false };
    const { current = before.bytes, total = before.total } = said.progressDetail ?? {};
    const done = /complete|exists/i.test(said.status);
    this.#layers.set(said.id, { bytes: done ? total : current, total, done });
  }
}

interface PullLine {
  readonly error?: unknown;
  readonly stream?: unknown;
  readonly status?: unknown;
  readonly id?: unknown;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

function parsed(line: string): PullLine {
  try {
    return Object(JSON.parse(line)) as PullLine;
  } catch {
    return {};
  }
}

/** One decimal while that is a visible part of it. */
function mebibytes(bytes: number): string {
  const amount = bytes / 2 ** 20;
  return amount < 10 ? amount.toFixed(1) : String(Math.round(amount));
}
