import { describe, expect, it } from 'vitest';
import { ownSocketPath, socketCandidates } from './find-socket.ts';

const paths = (env: Record<string, string>) =>
  socketCandidates(env).map(({ socketPath, required }) => [socketPath, required]);

describe('socketCandidates', () => {
  it('takes what a person named, and nothing after it', () => {
    const env = { XDG_RUNTIME_DIR: '/run/user/7' };
    expect(
      paths({ ...env, PODMESH_PODMAN_SOCKET: 'unix:///a', CONTAINER_HOST: 'unix:///b' }),
    ).toEqual([['/a', true]]);
    expect(paths({ ...env, PODMESH_PODMAN_SOCKET: '/a' })).toEqual([['/a', true]]);
    expect(paths({ ...env, CONTAINER_HOST: 'unix:///b' })).toEqual([['/b', true]]);
  });

  it('tries the user socket, which may be silent', () => {
    expect(paths({ XDG_RUNTIME_DIR: '/run/user/7' })).toEqual([
      ['/run/user/7/podman/podman.sock', false],
    ]);
    expect(paths({ PODMESH_PODMAN_SOCKET: '', XDG_RUNTIME_DIR: '' })).toEqual([]);
  });

  it('passes over a Podman of another machine: inputs are mounted from this one', () => {
    expect(paths({ CONTAINER_HOST: 'ssh://user@host/run/podman.sock' })).toEqual([]);
  });
});

describe('ownSocketPath', () => {
  it('lies in the directory while a socket may have such a long path', () => {
    expect(ownSocketPath('/home/u/.podmesh', {})).toBe('/home/u/.podmesh/podman.sock');
    const long = `/${'d'.repeat(120)}`;
    const short = ownSocketPath(long, { XDG_RUNTIME_DIR: '/run/user/7' });
    expect(short).toMatch(/^\/run\/user\/7\/podmesh-[0-9a-f]{12}\.sock$/);
    expect(ownSocketPath(`${long}x`, { XDG_RUNTIME_DIR: '/run/user/7' })).not.toBe(short);
  });
});
