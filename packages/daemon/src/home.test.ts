import { spawnSync } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type PeerId, peerId } from '@podmesh/core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defaultHome, Home, HomeBusyError } from './home.ts';
import { namesIn, temporaryFolder } from './store/store.test-kit.ts';

async function newHome(path?: string) {
  const home = new Home(path ?? join(await temporaryFolder(), 'home'));
  onTestFinished(() => home.release());
  return home;
}

const daemon = (peer: PeerId) => ({
  pid: 1,
  peer,
  nats: 'nats://localhost',
  version: '0',
  temporary: false,
});

describe('a home', () => {
  it('belongs to one daemon; the second is told so and touches nothing', async () => {
    const first = await newHome();
    await first.take();
    await first.announce(daemon(peerId('first')));
    const second = await newHome(first.path);
    await expect(second.take()).rejects.toThrow(HomeBusyError);
    await second.withdraw();
    await second.release();
    const told = JSON.parse(await readFile(first.at('daemon.json'), 'utf8')) as unknown;
    expect(told).toEqual(daemon(peerId('first')));
  });

  it('is locked for programs that see no socket of this machine, as long as it is taken', async () => {
    const home = await newHome();
    await home.take();
    const lock = () => spawnSync('flock', ['--nonblock', home.path, 'true']).status;
    expect(lock()).toBe(1);
    await home.release();
    expect(lock()).toBe(0);
  });

  it('is free again after its release, without an announcement', async () => {
    const first = await newHome();
    await first.take();
    await first.announce(daemon(peerId('first')));
    await first.release();
    await first.release();
    expect(await namesIn(first.path)).toEqual([]);
    const second = await newHome(first.path);
    await second.take();
  });

  it('is private, and so is the announcement with its token', async () => {
    const home = await newHome();
    await home.take();
    await home.announce(daemon(peerId('p')));
    expect((await stat(home.path)).mode & 0o777).toBe(0o700);
    expect((await stat(home.at('daemon.json'))).mode & 0o777).toBe(0o600);
  });

  it('keeps the name of its peer', async () => {
    const home = await newHome();
    await home.take();
    const made = await home.peer(undefined);
    expect(made).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(await home.peer(undefined)).toBe(made);
    expect(await home.peer('given')).toBe('given');
    expect(await home.peer(undefined)).toBe('given');
  });

  it('heals an empty name, as a full disk leaves it', async () => {
    const home = await newHome();
    await home.take();
    await writeFile(home.at('peer-id'), '\n');
    const made = await home.peer(undefined);
    expect(made).not.toBe('');
    expect((await readFile(home.at('peer-id'), 'utf8')).trim()).toBe(made);
  });
});

it('the home is where the environment says', () => {
  expect(defaultHome({ PODMESH_HOME: '/a', XDG_DATA_HOME: '/b' })).toBe('/a');
  expect(defaultHome({ XDG_DATA_HOME: '/b' })).toBe('/b/podmesh');
  expect(defaultHome({ PODMESH_HOME: '', XDG_DATA_HOME: '' })).toMatch(/\.local\/share\/podmesh$/);
});
