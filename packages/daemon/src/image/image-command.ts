import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ContainerRuntime, unreachable } from '@podmesh/core';
import {
  answeringSocket,
  buildImage,
  builtName,
  PodmanRuntime,
  PodmanService,
} from '@podmesh/podman';
import type { ImageOrder } from './image-order.ts';

/** Where an image command speaks to; `tell` is for programs, one JSON object per line. */
export interface ImageVoice {
  tell(line: ImageLine): void;
  /** What a build says, for people. */
  show(bytes: Uint8Array): void;
}

/** What image commands tell programs. */
export type ImageLine =
  | { readonly kind: 'built'; readonly image: string; readonly name: string }
  | { readonly kind: 'image'; readonly image: string; readonly references: readonly string[] }
  | { readonly kind: 'progress'; readonly reference: string; readonly line: string }
  | {
      readonly kind: 'resolved';
      readonly reference: string;
      readonly image: string;
      readonly arch: string;
    }
  | {
      readonly kind: 'unresolved';
      readonly reference: string;
      readonly problem: string;
      readonly message: string;
    };

/** Does what `podmesh-daemon image …` was asked to, on this machine alone: no mesh is needed. */
export async function runImageOrder(
  order: ImageOrder,
  env: NodeJS.ProcessEnv,
  voice: ImageVoice,
  signal: AbortSignal,
): Promise<void> {
  switch (order.action) {
    case 'build': {
      const { directory, file, tag } = order;
      const name = builtName(tag);
      const build = { directory, name, ...(file === undefined ? {} : { file }) };
      const image = await buildImage(build, env, (bytes) => voice.show(bytes), signal);
      return voice.tell({ kind: 'built', image, name });
    }
    case 'ls':
      return withRuntime(order.home, env, async (runtime) => {
        for (const [image, references] of await runtime.images()) {
          voice.tell({ kind: 'image', image, references });
        }
      });
    case 'resolve':
      return withRuntime(order.home, env, async (runtime) => {
        for (const reference of order.references) {
          voice.tell(await resolved(runtime, reference, { ...order, voice, signal }));
        }
      });
    default:
      return unreachable(order);
  }
}

type Images = Pick<ContainerRuntime, 'images' | 'resolveImage' | 'describe'>;

async function resolved(
  runtime: Images,
  reference: string,
  how: { readonly pull: boolean; readonly voice: ImageVoice; readonly signal: AbortSignal },
): Promise<ImageLine> {
  const { pull, voice, signal } = how;
  const progress = (line: string): void => voice.tell({ kind: 'progress', reference, line });
  const found = await runtime.resolveImage(reference, pull && progress, signal);
  if (found.ok) {
    const { arch } = await runtime.describe();
    return { kind: 'resolved', reference, image: found.value, arch };
  }
  const { kind: problem, message } = found.error;
  return { kind: 'unresolved', reference, problem, message };
}

/**
 * Podman as the daemon of this home would have it. One that already answers is used and left alone, above all
 * the service of a daemon that runs; else one is started in a place of its own and ended.
 */
async function withRuntime(
  home: string,
  env: NodeJS.ProcessEnv,
  use: (runtime: Images) => Promise<void>,
): Promise<void> {
  const answering = await answeringSocket(env, home);
  if (answering !== undefined) return useSocket(answering, use);
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-image-'));
  const service = new PodmanService({ env, directory });
  try {
    await service.start();
    await useSocket(service.socketPath, use);
  } finally {
    await service.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function useSocket(
  socketPath: string,
  use: (runtime: Images) => Promise<void>,
): Promise<void> {
  const runtime = new PodmanRuntime({ socketPath });
  try {
    await use(runtime);
  } finally {
    runtime.close();
  }
}
