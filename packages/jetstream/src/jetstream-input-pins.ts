import type { InputPinned, InputPins, RunId, RunLog } from '@podmesh/core';
import { decodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { pinSubject, RUN_STREAM } from './subjects.ts';

/** Pins as facts of the run log: whoever appends first to a source's subject says what it means. */
export class JetStreamInputPins implements InputPins {
  readonly #mesh: MeshConnection;
  readonly #log: Pick<RunLog, 'append'>;

  constructor(mesh: MeshConnection, log: Pick<RunLog, 'append'>) {
    this.#mesh = mesh;
    this.#log = log;
  }

  /** Read by the stream's leader: a replica might not know the newest yet. */
  async find(run: RunId, source: string): Promise<InputPinned | undefined> {
    const subject = pinSubject(run, source);
    const last = await asking(`read ${subject}`, () =>
      this.#mesh.jsm.streams.getMessage(RUN_STREAM, { last_by_subj: subject }),
    );
    return last ? decodeJson<InputPinned>(last.data, `${RUN_STREAM} ${last.seq}`) : undefined;
  }

  async pin(pin: InputPinned): Promise<InputPinned> {
    const appended = await this.#log.append(pin, 0);
    if (appended.ok) return pin;
    const first = await this.find(pin.run, pin.source);
    if (first === undefined)
      throw new Error(`broken invariant: ${pin.source} was refused, and is not pinned`);
    return first;
  }
}
