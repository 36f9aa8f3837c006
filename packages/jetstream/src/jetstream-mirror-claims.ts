import type { MirrorClaim, MirrorClaims, PeerId } from '@podmesh/core';
import { ImageBucket } from './image-bucket.ts';
import { encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { mirrorKey } from './subjects.ts';
import { isWrongSequence } from './wrong-sequence.ts';

/** Claims as keys of the bucket of images: each renewal is a revision, and only who has seen the last one may make the next. */
export class JetStreamMirrorClaims implements MirrorClaims {
  readonly #bucket: ImageBucket;

  constructor(mesh: MeshConnection) {
    this.#bucket = new ImageBucket(mesh);
  }

  async take(image: string, peer: PeerId, seen: number | undefined): Promise<MirrorClaim> {
    const kv = await this.#bucket.kv;
    const [key, value] = [mirrorKey(image), encodeJson({ peer })];
    try {
      const revision = await asking(`claim ${image}`, () =>
        seen === undefined ? kv.create(key, value) : kv.update(key, value, seen),
      );
      return { kind: 'mine', revision };
    } catch (error) {
      if (!isWrongSequence(error)) throw error;
    }
    const entry = await asking(`look who claims ${image}`, () => kv.get(key));
    // It was given back meanwhile: whoever asks again gets it.
    return { kind: 'others', revision: entry?.revision ?? 0 };
  }

  async release(image: string): Promise<void> {
    const kv = await this.#bucket.kv;
    await asking(`give back ${image}`, () => kv.purge(mirrorKey(image)));
  }
}
