import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../scripts/live.d/podmesh-live', import.meta.url));
let place: string;

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'podmesh-stick-'));
  await chmod(place, 0o755);
});
afterEach(() => rm(place, { recursive: true, force: true }));

/** What words of the stick's script say, given what a person types. */
function say(words: string, typed = ''): Promise<{ code: number; out: string; err: string }> {
  const script = `. ${SCRIPT}; stick=${place} home=${place}; ${words}`;
  return new Promise((resolve) => {
    const child = execFile('bash', ['-c', script], (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
    child.stdin?.end(typed);
  });
}

it.each([
  ['podmesh:one', 'podmesh:one'],
  ['# from the lab\r\n\r\npodmesh:two\r\n', 'podmesh:two'],
  ['\ufeffpodmesh:three\r\npodmesh:four\r\n', 'podmesh:three'],
])('of a file %j the line is %s, whatever system wrote it', async (text, line) => {
  await writeFile(join(place, 'join.txt'), text);
  expect((await say('join_line 0', 'podmesh:typed\n')).out).toBe(`${line}\n`);
});

it.each(['', '# nothing yet\n', '\r\n\r\n'])(
  'where the file says %j, a person is asked, until something is typed',
  async (text) => {
    await writeFile(join(place, 'join.txt'), text);
    const said = await say('join_line 0', '\npodmesh:typed\n');
    expect(said.out).toBe('podmesh:typed\n');
    expect(said.err.match(/podmesh invite/g)).toHaveLength(2);
  },
);

it('a line that was tried in vain is not tried for ever', async () => {
  await writeFile(join(place, 'join.txt'), 'podmesh:spent');
  expect((await say('join_line 4', 'podmesh:typed\n')).out).toBe('podmesh:spent\n');
  expect((await say('join_line 5', 'podmesh:typed\n')).out).toBe('podmesh:typed\n');
});

it('no line is ever an argument of a process', async () => {
  const words =
    'runuser() { echo "arguments: $*"; echo "input: $(cat)"; }; become_member podmesh:abc';
  const { out } = await say(words);
  expect(out).toBe('arguments: -u podmesh -- podmesh join -\ninput: podmesh:abc\n');
});

it('an address with a token is in a file for its user alone', async () => {
  // As its own user: only root could give files to another one.
  const own = `install() {
    local words=()
    while (($#)); do case $1 in -o | -g) shift 2 ;; *) words+=("$1"); shift ;; esac; done
    command install "\${words[@]}"
  }`;
  const said = await say(`${own}; become_member nats://secret@10.0.0.5:4222`);
  expect(said.err).toBe('');
  const file = join(place, '.config', 'podmesh', 'environment');
  expect(await readFile(file, 'utf8')).toBe('PODMESH_NATS=nats://secret@10.0.0.5:4222\n');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

it('no disk is touched that nobody named, and none that cannot be mounted', async () => {
  const watch =
    'mount() { echo "mount $*"; [[ $* != *LABEL=OLD* ]]; }; chown() { :; }; cp() { :; }';
  const memory = `mount -t tmpfs -o size=60%,mode=700,nosuid,nodev podmesh ${place}`;
  expect((await say(`${watch}; mount_home`)).out).toBe(`${memory}\n`);
  await writeFile(join(place, 'scratch.txt'), 'LABEL=OLD\n');
  const said = (await say(`mkdir() { :; }; ${watch}; mount_home`)).out;
  expect(said).toBe(
    `mount -o nosuid,nodev LABEL=OLD /run/podmesh-scratch\npodmesh: cannot use LABEL=OLD for scratch.\n${memory}\n`,
  );
});
