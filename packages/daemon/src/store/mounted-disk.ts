import { readFile, realpath } from 'node:fs/promises';

/** What a person calls a disk: where it is mounted, and what is mounted there. */
export interface MountedDisk {
  readonly mountPoint: string;
  readonly device: string;
}

/** The disk that a path is on; undefined where the system does not tell. */
export async function mountedDiskOf(path: string): Promise<MountedDisk | undefined> {
  try {
    return findMount(await readFile('/proc/self/mountinfo', 'utf8'), await realpath(path));
  } catch {
    return undefined;
  }
}

/** The innermost mount that holds the path, as proc(5) describes `mountinfo`; the last one covers the others. */
export function findMount(mountinfo: string, path: string): MountedDisk | undefined {
  let found: MountedDisk | undefined;
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const mountPoint = unescapeOctal(before.split(' ')[4] ?? '');
    const device = unescapeOctal(after.split(' ')[1] ?? '');
    if (mountPoint === '' || !holds(mountPoint, path)) continue;
    if (mountPoint.length >= (found?.mountPoint.length ?? 0)) found = { mountPoint, device };
  }
  return found;
}

function holds(mountPoint: string, path: string): boolean {
  return path === mountPoint || path.startsWith(mountPoint === '/' ? '/' : `${mountPoint}/`);
}

/** Blanks, tabs, line feeds and backslashes are written in octal. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
