import { expect, it } from 'vitest';
import { startProblem } from './start-problem.ts';

it.each([
  ['crun: executable file `/bin/nope` not found in $PATH: No such file or directory', 'command'],
  ['crun: open executable: Permission denied: OCI permission denied', 'command'],
  ['runc: exec failed: exec: "/x": stat /x: no such file or directory: unknown', 'command'],
  ['exec: "x": executable file not found in $PATH', 'command'],
  ['exec /bin/x: exec format error', 'command'],
  ['mkdir /a: no space left on device', 'disk'],
  ['write: disk quota exceeded', 'disk'],
  ['crun: cgroups in hybrid mode not supported', 'runtime'],
  ['slirp4netns failed: open("/dev/net/tun"): Permission denied', 'runtime'],
  ['no such image', 'runtime'],
] as const)('%s → %s', (reason, kind) => {
  expect(startProblem(reason)).toMatchObject({ kind });
  expect(startProblem(reason).message).toContain(reason);
});
