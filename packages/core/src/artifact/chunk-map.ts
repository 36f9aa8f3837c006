/** Which chunks of an artifact somebody has: bit `index & 7` of byte `index >> 3`. */
export type ChunkMap = Uint8Array;

export function chunkMapBytes(chunks: number): number {
  return Math.ceil(chunks / 8);
}

export function makeChunkMap(here: Iterable<number>, chunks: number): ChunkMap {
  const map = new Uint8Array(chunkMapBytes(chunks));
  for (const index of here) map[index >> 3] = (map[index >> 3] ?? 0) | (1 << (index & 7));
  return map;
}

export function mapHas(map: ChunkMap, index: number): boolean {
  return ((map[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
}
