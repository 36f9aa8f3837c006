import { type KV, Kvm } from '@nats-io/kv';
import type { ActionDigest, ResultCache, TaskResult } from '@podmesh/core';
import { GroupAppender, type GroupAppenderOptions } from './group-appender.ts';
import { decodeJson, encodeJson } from './json-codec.ts';
import { lastMessages } from './last-messages.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import {
  actionOfSubject,
  RESULT_BUCKET,
  RESULT_STREAM,
  resultKey,
  resultSubject,
} from './subjects.ts';

/** Results in a KV bucket; records written at the same time share one sync of the disk. */
export class JetStreamResultCache implements ResultCache {
  readonly #mesh: MeshConnection;
  readonly #appender: GroupAppender;
  readonly #bucket: Promise<KV>;

  constructor(mesh: MeshConnection, options: GroupAppenderOptions = {}) {
    this.#mesh = mesh;
    this.#appender = new GroupAppender(mesh, RESULT_STREAM, options);
    this.#bucket = new Kvm(mesh.js).open(RESULT_BUCKET);
  }

  /** A replica may answer that does not know the newest yet: then the task runs, which is harmless. */
  async lookUp(actions: readonly ActionDigest[]): Promise<ReadonlyMap<ActionDigest, TaskResult>> {
    const found = await lastMessages(this.#mesh, RESULT_STREAM, actions.map(resultSubject));
    return new Map(
      found.map(({ subject, data }) => [
        actionOfSubject(subject),
        decodeJson<TaskResult>(data, subject),
      ]),
    );
  }

  async record(action: ActionDigest, result: TaskResult): Promise<void> {
    await this.#appender.append({ subject: resultSubject(action), payload: encodeJson(result) });
  }

  async forget(action: ActionDigest): Promise<void> {
    const bucket = await this.#bucket;
    await asking(`forget result ${action}`, () => bucket.delete(resultKey(action)));
  }
}
