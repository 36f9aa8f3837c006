import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CrunFailedError } from './crun-errors.ts';
import { COMMAND_MS_MAX, FIFO_BATCH } from './crun-limits.ts';

const execute = promisify(execFile);

/** A batch of FIFOs in a directory. */
export async function makeFifos(directory: string, busybox: string): Promise<readonly string[]> {
  const batch = randomBytes(6).toString('hex');
  const paths = Array.from({ length: FIFO_BATCH }, (_, i) => join(directory, `${batch}-${i}`));
  try {
    // Any user inside may open /dev/stdout again; outside, the directories above keep others away.
    const args = ['mkfifo', '-m', '666', ...paths];
    await execute(busybox, args, { timeout: COMMAND_MS_MAX });
  } catch (error) {
    throw new CrunFailedError('make FIFOs', String(error), error);
  }
  return paths;
}
