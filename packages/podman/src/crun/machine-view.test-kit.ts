import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** A process of this machine by its own words. */
export interface Listed {
  readonly pid: number;
  readonly words: string;
}

/** Mounts in anybody's namespace whose line names that directory. */
export async function mountsOf(directory: string): Promise<string[]> {
  const { stdout } = await execute('sh', ['-c', 'cat /proc/[0-9]*/mountinfo 2>/dev/null; true'], {
    maxBuffer: 1 << 28,
  });
  return stdout.split('\n').filter((line) => line.includes(directory));
}

/** Processes whose words have that text in them. */
export async function processesOf(text: string): Promise<readonly Listed[]> {
  const { stdout } = await execute('ps', ['-eo', 'pid=,args=', '-ww'], { maxBuffer: 1 << 26 });
  // A script has lines of its own; a process begins with its number.
  const listed = stdout.split(/\n(?=\s*\d+ \/)/).map((words) => {
    return { pid: Number.parseInt(words, 10), words: words.trim().replace(/^\d+ /, '') };
  });
  return listed.filter(({ pid, words }) => words.includes(text) && pid !== process.pid);
}
