import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, statfsSync } from 'node:fs';
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { peerId } from '@podmesh/core';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { AttemptFiles } from './attempt-files.ts';
import { hasCrunAttempts, lanePlaces, leaveMemory, openLanePlaces } from './lane-places.ts';

const TMPFS_MAGIC = 0x01021994;
const MEMORY = '/dev/shm';
const UID = process.getuid?.() ?? 0;
const ALL = `podmesh-${UID}`;
const PEER = peerId('p');
/** No user's: whatever this process makes belongs to somebody else then. */
const OTHER_UID = 3_999_999_999;

/** Why there is nothing to be tested on this machine; empty where there is. */
const noMemory = (() => {
  try {
    return statfsSync(MEMORY).type === TMPFS_MAGIC ? '' : `${MEMORY} is no memory here`;
  } catch {
    return `there is no ${MEMORY} here`;
  }
})();

async function fresh(parent: string): Promise<string> {
  const directory = await mkdtemp(join(parent, 'podmesh-places-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A lane's directory, beside which others have room. */
async function newLane(): Promise<string> {
  const directory = join(await fresh(tmpdir()), 'lane');
  await mkdir(directory, { mode: 0o700 });
  // Whatever a test made of it, and wherever that is.
  onTestFinished(() => leaveMemory(directory));
  return directory;
}

async function newMemory() {
  const runtime = await fresh(MEMORY);
  return { runtime, all: join(runtime, ALL), env: { XDG_RUNTIME_DIR: runtime } };
}

/** As an attempt looks that a chain was started for. */
async function addAttempt(directory: string): Promise<string> {
  const files = new AttemptFiles(join(lanePlaces(directory).attemptsOf(PEER), 'c'));
  await mkdir(files.directory, { recursive: true });
  await writeFile(files.config, '');
  execFileSync('mkfifo', [...files.fifos]);
  return files.config;
}

const isThere = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );

describe.skipIf(noMemory !== '')(`the places of a lane${noMemory && `: ${noMemory}`}`, () => {
  it('are in memory, of this user alone, and on the disk what may become large', async () => {
    const [{ env, all }, directory] = [await newMemory(), await newLane()];
    const places = await openLanePlaces(directory, env);
    expect(dirname(places.run)).toBe(all);
    expect(await readlink(join(directory, 'run'))).toBe(places.run);
    expect(lanePlaces(directory)).toMatchObject({ run: places.run, state: places.state });
    for (const place of [all, places.run, places.attempts, places.fifos, places.state]) {
      expect((await stat(place)).mode & 0o777, place).toBe(0o700);
    }
    for (const place of [places.scratch, places.files, places.bases, places.trash, places.tools]) {
      expect(dirname(place)).toBe(directory);
    }
  });

  it('are the same as long as an attempt is there, and else where they would be chosen now', async () => {
    const [before, after, directory] = [await newMemory(), await newMemory(), await newLane()];
    const { run } = await openLanePlaces(directory, before.env);
    const config = await addAttempt(directory);
    expect((await openLanePlaces(directory, after.env)).run).toBe(run);
    expect(await isThere(config)).toBe(true);
    expect(await isThere(after.all)).toBe(false);
    await rm(config);
    expect((await openLanePlaces(directory, after.env)).run).toMatch(after.all);
    expect(await isThere(run)).toBe(false);
  });

  it('are on the disk as long as an attempt is there', async () => {
    const [{ env, all }, directory] = [await newMemory(), await newLane()];
    const config = await addAttempt(directory);
    expect((await openLanePlaces(directory, env)).run).toBe(join(directory, 'run'));
    expect(await isThere(all)).toBe(false);
    await rm(config);
    expect((await openLanePlaces(directory, env)).run).toMatch(all);
  });

  it('hold none of the FIFOs of an earlier daemon', async () => {
    const [{ env }, directory] = [await newMemory(), await newLane()];
    const { fifos } = await openLanePlaces(directory, env);
    await addAttempt(directory);
    await writeFile(join(fifos, 'old'), '');
    await openLanePlaces(directory, env);
    expect(await readdir(fifos)).toEqual([]);
  });

  it('are elsewhere where the path could not stand in an option', async () => {
    const [{ runtime }, directory] = [await newMemory(), await newLane()];
    const odd = join(runtime, 'a:b');
    await mkdir(odd);
    const { run } = await openLanePlaces(directory, { XDG_RUNTIME_DIR: odd });
    expect(run).not.toContain(runtime);
    expect(await readdir(odd)).toEqual([]);
  });
});

describe.skipIf(noMemory !== '')('what stands in the way', () => {
  it('is neither used nor changed when others may look into it', async () => {
    const [{ env, all }, directory] = [await newMemory(), await newLane()];
    await mkdir(all);
    await chmod(all, 0o750);
    await writeFile(join(all, 'file'), 'x');
    expect((await openLanePlaces(directory, env)).run).not.toContain(all);
    expect(await readdir(all)).toEqual(['file']);
    expect((await stat(all)).mode & 0o777).toBe(0o750);
  });

  it('is not followed when it is a link', async () => {
    const [{ env, all }, directory] = [await newMemory(), await newLane()];
    const target = await fresh(MEMORY);
    await writeFile(join(target, 'file'), 'x');
    await symlink(target, all);
    expect((await openLanePlaces(directory, env)).run).not.toMatch(all);
    await leaveMemory(directory);
    expect(await readdir(target)).toEqual(['file']);
    expect(await readlink(all)).toBe(target);
  });

  it("sends the lane to the disk when all of it is somebody else's", async () => {
    const [{ env, runtime }, directory] = [await newMemory(), await newLane()];
    const theirs = [runtime, MEMORY].map((memory) => join(memory, `podmesh-${OTHER_UID}`));
    for (const place of theirs) {
      await mkdir(place, { mode: 0o700 });
      onTestFinished(() => rm(place, { recursive: true, force: true }));
      await writeFile(join(place, 'file'), 'x');
    }
    const getuid = vi.spyOn(process, 'getuid').mockReturnValue(OTHER_UID);
    onTestFinished(() => getuid.mockRestore());
    const { run, attempts } = await openLanePlaces(directory, env);
    expect(run).toBe(join(directory, 'run'));
    expect((await lstat(run)).isDirectory()).toBe(true);
    expect((await stat(attempts)).mode & 0o777).toBe(0o700);
    for (const place of theirs) expect(await readdir(place)).toEqual(['file']);
  });

  it('is not taken for attempts of this lane where the link leads to it after a restart', async () => {
    const [{ env, all }, directory] = [await newMemory(), await newLane()];
    const { run } = await openLanePlaces(directory, env);
    const config = await addAttempt(directory);
    expect(await hasCrunAttempts(directory)).toBe(true);
    for (const place of [all, run]) {
      await chmod(place, 0o755);
      expect(await hasCrunAttempts(directory), place).toBe(false);
      await chmod(place, 0o700);
    }
    const getuid = vi.spyOn(process, 'getuid').mockReturnValue(OTHER_UID);
    onTestFinished(() => getuid.mockRestore());
    expect(await hasCrunAttempts(directory)).toBe(false);
    await leaveMemory(directory);
    expect(await isThere(config)).toBe(true);
  });
});

describe.skipIf(noMemory !== '')('what a lane leaves in memory', () => {
  it('is taken away when its directory is gone, and what another lane has is not', async () => {
    const { env, all } = await newMemory();
    const [gone, living, next] = [await newLane(), await newLane(), await newLane()];
    const abandoned = await openLanePlaces(gone, env);
    await addAttempt(gone);
    const kept = await openLanePlaces(living, env);
    const config = await addAttempt(living);
    // Of a lane that is just being made, or nobody knows of whom.
    await mkdir(join(all, 'unnamed'));
    await rm(gone, { recursive: true });
    const { run } = await openLanePlaces(next, env);
    expect(await isThere(abandoned.run)).toBe(false);
    expect(await readFile(config, 'utf8')).toBe('');
    const names = [kept.run, run].map((place) => basename(place));
    expect((await readdir(all)).sort()).toEqual([...names, 'unnamed'].sort());
  });

  it('stays while a chain lives there, though its directory cannot be seen', async () => {
    const { env } = await newMemory();
    const [unmounted, next] = [await newLane(), await newLane()];
    const { run } = await openLanePlaces(unmounted, env);
    const release = join(dirname(await addAttempt(unmounted)), 'release');
    await rm(release);
    execFileSync('mkfifo', [release]);
    const fd = openSync(release, constants.O_RDONLY | constants.O_NONBLOCK);
    await rm(unmounted, { recursive: true });
    await openLanePlaces(next, env);
    expect(await isThere(run)).toBe(true);
    // The exit that nobody reads is not kept for ever.
    const exit = join(dirname(release), 'exit');
    await writeFile(exit, '0\n0m0.0s 0m0.0s\n0m0.0s 0m0.0s\nend\n');
    await openLanePlaces(next, env);
    expect(await isThere(run)).toBe(true);
    await utimes(exit, 1, 1);
    await openLanePlaces(next, env);
    expect(await isThere(run)).toBe(false);
    closeSync(fd);
  });

  it('does not keep others from memory when its directory may not be looked at', async () => {
    const { env, all } = await newMemory();
    const [hidden, next] = [await newLane(), await newLane()];
    const { run } = await openLanePlaces(hidden, env);
    await rm(join(run, 'owner'));
    // ENOTDIR: neither there nor gone, as with a parent without rights, which root would not notice.
    await symlink('/proc/self/stat/lane', join(run, 'owner'));
    expect((await openLanePlaces(next, env)).run).toMatch(all);
    expect(await isThere(run)).toBe(true);
  });

  it('is gone after it has left, twice or without having come', async () => {
    const { env, all } = await newMemory();
    const [directory, other] = [await newLane(), await newLane()];
    await leaveMemory(directory);
    const { run } = await openLanePlaces(directory, env);
    const kept = await openLanePlaces(other, env);
    await leaveMemory(directory);
    await leaveMemory(directory);
    expect(await isThere(run)).toBe(false);
    expect(await isThere(join(directory, 'run'))).toBe(false);
    expect(await readdir(all)).toEqual([basename(kept.run)]);
    await leaveMemory(join(directory, 'nowhere'));
  });

  it('is only what was made for it, wherever a link leads', async () => {
    const directory = await newLane();
    const target = await fresh(tmpdir());
    await mkdir(join(target, 'attempts'));
    await symlink(target, join(directory, 'run'));
    await leaveMemory(directory);
    expect(await readdir(target)).toEqual(['attempts']);
    expect(await isThere(join(directory, 'run'))).toBe(false);
  });
});

describe.skipIf(noMemory !== '')('the directory of a lane', () => {
  it('that was copied has none of the attempts, and deletes nothing of the other', async () => {
    const [{ env }, directory] = [await newMemory(), await newLane()];
    const { run } = await openLanePlaces(directory, env);
    const config = await addAttempt(directory);
    const copy = join(dirname(directory), 'copy');
    await cp(directory, copy, { recursive: true, verbatimSymlinks: true });
    onTestFinished(() => leaveMemory(copy));
    expect(await hasCrunAttempts(copy)).toBe(false);
    const places = await openLanePlaces(copy, env);
    expect(places.run).not.toBe(run);
    await leaveMemory(copy);
    expect(await isThere(config)).toBe(true);
    expect(await hasCrunAttempts(directory)).toBe(true);
  });

  it('that was moved keeps its attempts, and is not taken for abandoned', async () => {
    const [{ env }, directory, other] = [await newMemory(), await newLane(), await newLane()];
    const { run } = await openLanePlaces(directory, env);
    const config = await addAttempt(directory);
    const moved = join(dirname(directory), 'moved');
    await rename(directory, moved);
    onTestFinished(() => leaveMemory(moved));
    expect(await hasCrunAttempts(moved)).toBe(true);
    expect((await openLanePlaces(moved, env)).run).toBe(run);
    // Another one, and one at the place where the first was made.
    await openLanePlaces(other, env);
    await mkdir(directory);
    const { run: second } = await openLanePlaces(directory, env);
    expect(second).not.toBe(run);
    expect(await isThere(config)).toBe(true);
    await leaveMemory(moved);
    expect(await isThere(second)).toBe(true);
    expect(await isThere(run)).toBe(false);
  });

  it('that was moved away for another one leaves the memory of that one alone', async () => {
    const [{ env }, directory] = [await newMemory(), await newLane()];
    await openLanePlaces(directory, env);
    const moved = join(dirname(directory), 'moved');
    await rename(directory, moved);
    await mkdir(directory);
    const { run } = await openLanePlaces(directory, env);
    const config = await addAttempt(directory);
    expect(await hasCrunAttempts(moved)).toBe(false);
    await openLanePlaces(moved, env);
    await leaveMemory(moved);
    expect(await isThere(config)).toBe(true);
    expect(lanePlaces(directory).run).toBe(run);
  });
});
