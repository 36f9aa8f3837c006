import { type KV, Kvm } from '@nats-io/kv';
import { type AnchorRecord, parseAnchorRecord } from '@podmesh/core';
import { encodeJson } from '../json-codec.ts';
import type { MeshConnection } from '../mesh-connection.ts';
import { UnreadableMessageError } from '../mesh-errors.ts';
import { asking } from '../port-error.ts';
import { ANCHORS_KEY, MESH_BUCKET } from '../subjects.ts';
import { untilAnswered } from '../until-answered.ts';

/** The record of which servers carry the mesh, kept by these servers themselves. */
export class AnchorBook {
  readonly #mesh: MeshConnection;
  #bucket: KV | undefined;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  /** Undefined in a mesh that never wrote one: then whoever answers is all there is. */
  async read(): Promise<AnchorRecord | undefined> {
    return (await this.#entry())?.record;
  }

  /**
   * Writes the record of the next generation, or says what is there instead when somebody was faster. Writing the
   * same again is harmless.
   */
  async write(record: AnchorRecord): Promise<AnchorRecord> {
    const bucket = await this.#open();
    const found = await this.#entry();
    if (found !== undefined && !isNews(record, found.record)) return found.record;
    const bytes = encodeJson(record);
    await asking('write the record of anchors', () =>
      found === undefined
        ? bucket.create(ANCHORS_KEY, bytes)
        : bucket.update(ANCHORS_KEY, bytes, found.revision),
    );
    return record;
  }

  async #open(): Promise<KV> {
    this.#bucket ??= await asking('open the record of anchors', () =>
      untilAnswered(MESH_BUCKET, () => new Kvm(this.#mesh.js).open(MESH_BUCKET)),
    );
    return this.#bucket;
  }

  async #entry(): Promise<
    { readonly record: AnchorRecord; readonly revision: number } | undefined
  > {
    const bucket = await this.#open();
    const entry = await asking('read the record of anchors', () => bucket.get(ANCHORS_KEY));
    if (entry === null || entry.operation !== 'PUT') return undefined;
    const record = parseAnchorRecord(JSON.parse(entry.string()));
    if (record === undefined) throw new UnreadableMessageError('the record of anchors');
    return { record, revision: entry.revision };
  }
}

/** A server that is alone may have got another address; whoever is connected has found it there. */
function isNews(record: AnchorRecord, known: AnchorRecord): boolean {
  if (record.generation !== known.generation) return record.generation > known.generation;
  return record.cluster === undefined && JSON.stringify(record) !== JSON.stringify(known);
}
