import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FakeWorld, temporaryDirectory } from '../fake-world.test-kit.ts';
import { RUN } from '../sample-run.test-kit.ts';
import { livingChild } from './child.test-kit.ts';
import { Home, homePath } from './home.ts';

const file = (pid: number) =>
  JSON.stringify({
    pid,
    peer: 'oak',
    nats: 'nats://t@127.0.0.1:4222',
    version: '1',
    temporary: false,
  });

describe('Home', () => {
  it('lies where PODMESH_HOME says, else in the data directory', () => {
    expect(homePath({ PODMESH_HOME: '/a' })).toBe('/a');
    expect(homePath({ XDG_DATA_HOME: '/d' })).toBe('/d/podmesh');
    expect(homePath({ PODMESH_HOME: '' })).toBe(join(homedir(), '.local/share/podmesh'));
  });

  it('knows a daemon only while it lives', async () => {
    const home = new Home(temporaryDirectory());
    expect(await home.daemon()).toBeUndefined();
    await writeFile(home.at('daemon.json'), '{"pid":');
    expect(await home.daemon()).toBeUndefined();
    const child = await livingChild('daemon');
    await writeFile(home.at('daemon.json'), file(child.pid));
    expect(await home.daemon()).toMatchObject({ peer: 'oak', nats: 'nats://t@127.0.0.1:4222' });
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect(await home.daemon()).toBeUndefined();
  });

  it('does not take another program of the same number for the daemon', async () => {
    const home = new Home(temporaryDirectory());
    const child = await livingChild('something-else');
    await writeFile(home.at('daemon.json'), file(child.pid));
    expect(await home.daemon()).toBeUndefined();
  });

  it('remembers the last run', async () => {
    const home = new Home(join(temporaryDirectory(), 'new'));
    expect(await home.lastRun()).toBeUndefined();
    await home.rememberRun(RUN);
    expect(await home.lastRun()).toBe(RUN);
  });
});

describe('podmesh down', () => {
  it('stops the daemon and waits until it is gone', async () => {
    const world = new FakeWorld();
    const child = await livingChild('daemon');
    await world.home.prepare();
    await writeFile(world.home.at('daemon.json'), file(child.pid));
    const exited = once(child, 'exit');
    expect(await world.run(['down', '--json'])).toBe(0);
    expect(await exited).toEqual([0, null]);
    expect(JSON.parse(world.terminal.stdout)).toEqual({ stopped: 'oak', cleared: [] });
  });

  it('clears away what a killed daemon left behind, and nothing else', async () => {
    const world = new FakeWorld();
    const [server, stranger] = [await livingChild('nats-server'), await livingChild('editor')];
    await mkdir(world.home.at('nats'), { recursive: true });
    await writeFile(world.home.at('nats', 'pid'), String(server.pid));
    await writeFile(world.home.at('podman-service.pid'), String(stranger.pid));
    const exited = once(server, 'exit');
    expect(await world.run(['down'])).toBe(0);
    await exited;
    expect(world.terminal.stdout).toContain('cleared away a nats-server');
    expect(existsSync(world.home.at('nats', 'pid'))).toBe(false);
    expect(stranger.exitCode).toBeNull();
    expect(stranger.signalCode).toBeNull();
  });

  it('is content when nothing runs', async () => {
    const world = new FakeWorld();
    expect(await world.run(['down'])).toBe(0);
    expect(world.terminal.stdout).toContain('no daemon runs in');
  });
});
