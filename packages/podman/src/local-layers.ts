import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PodmanApi } from './podman-api.ts';

/** Lengths of the layers in a store, by the digests of what they are when they are not compressed. */
export type LocalLayers = ReadonlyMap<string, number>;

/**
 * The layers that Podman has, as its store itself (containers/storage) writes them down: asking for the layers of each image
 * takes a request for every one. Empty where that cannot be read: then nothing is known to be there, which is never wrong.
 */
export async function readLocalLayers(api: Pick<PodmanApi, 'info'>): Promise<LocalLayers> {
  try {
    const { graphDriverName, graphRoot } = (await api.info()).store;
    if (graphRoot === undefined) return new Map();
    return layersIn(
      await readFile(join(graphRoot, `${graphDriverName}-layers`, 'layers.json'), 'utf8'),
    );
  } catch {
    return new Map();
  }
}

/** Those that are whole: one that is being made, or was left half made, says so. */
export function layersIn(text: string): LocalLayers {
  const layers: unknown = JSON.parse(text);
  const found = new Map<string, number>();
  for (const layer of Array.isArray(layers) ? layers : []) {
    const said: Record<string, unknown> = Object(layer);
    const [digest, bytes] = [said['diff-digest'], said['diff-size']];
    const { incomplete = false }: Record<string, unknown> = Object(said.flags);
    if (typeof digest !== 'string' || typeof bytes !== 'number' || incomplete !== false) continue;
    found.set(digest, bytes);
  }
  return found;
}
