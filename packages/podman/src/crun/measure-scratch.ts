import { measureTree } from '../measure-tree.ts';
import type { AttemptFiles } from './attempt-files.ts';
import { SCRATCH_ENTRIES_MAX } from './crun-limits.ts';
import type { UserNamespace } from './user-namespace.ts';

/**
 * Bytes on disk of the scratch layer, the `fd` outputs and what a task made of files such as /etc/hosts. Our own eyes first: most tasks run as the
 * user that is us outside. What they cannot read, or is large, is measured from inside the namespace.
 */
export async function measureScratch(
  namespace: UserNamespace,
  files: AttemptFiles,
): Promise<number | undefined> {
  const places = [files.upper, files.outputs, files.copies];
  const seen = await Promise.all(places.map((place) => measureTree(place, SCRATCH_ENTRIES_MAX)));
  if (seen.every(({ complete }) => complete)) {
    return seen.reduce((sum, { bytes }) => sum + bytes, 0);
  }
  try {
    const words = ['sh', '-c', 'du -skxH "$@" 2>/dev/null; true', 'du', ...places];
    const lines = (await namespace.run(words)).trim().split('\n');
    return lines.reduce((sum, line) => sum + (Number.parseInt(line, 10) || 0) * 1_024, 0);
  } catch {
    return undefined;
  }
}
