import type { ArtifactId, Tree } from '@podmesh/core';

/** Everything below a listing, each once: files, and the listings of folders with theirs. */
export async function treeMembers(
  readTree: (artifact: ArtifactId) => Promise<Tree>,
  listing: ArtifactId,
): Promise<readonly ArtifactId[]> {
  const members = new Set<ArtifactId>();
  const unread = [listing];
  for (let next = unread.pop(); next !== undefined; next = unread.pop()) {
    for (const entry of (await readTree(next)).entries) {
      if (entry.kind !== 'file' && entry.kind !== 'tree') continue;
      if (entry.kind === 'tree' && !members.has(entry.digest)) unread.push(entry.digest);
      members.add(entry.digest);
    }
  }
  return [...members];
}
