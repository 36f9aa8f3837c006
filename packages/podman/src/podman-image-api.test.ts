import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Call, PodmanConnection } from './podman-connection.ts';
import { PodmanRefusedError } from './podman-errors.ts';
import { PodmanImageApi } from './podman-image-api.ts';

function apiOver(call: (call: Call) => Promise<unknown>): PodmanImageApi {
  return new PodmanImageApi({ socketPath: '/s', call } as unknown as PodmanConnection);
}

describe('inspecting by id', () => {
  it("puts libpod's answer into the shape of the other", async () => {
    const Annotations = { a: 'b' };
    const answer = { Id: 'ab', Config: { Cmd: ['x'] }, Healthcheck: { Test: [] }, Annotations };
    expect(await apiOver(async () => answer).inspect('sha256:ab')).toMatchObject({
      Id: 'sha256:ab',
      Config: { Cmd: ['x'], Healthcheck: { Test: [] } },
      Annotations,
    });
  });

  it('knows no image that is gone, and hides no other refusal', async () => {
    const refusing = (status: number) =>
      apiOver(async ({ what }) => {
        throw new PodmanRefusedError(what, status, 'why', new Error('why'));
      });
    expect(await refusing(404).inspect('sha256:ab')).toBeUndefined();
    await expect(refusing(500).inspect('sha256:ab')).rejects.toThrow('why');
  });
});

describe('arrivals', () => {
  it.each(['ok', 'broken'])(
    'are no quiet time while they last, nor after one that was %s',
    async (end) => {
      let settle = () => {};
      const answered = new Promise<object>((resolve, reject) => {
        settle = () => (end === 'ok' ? resolve({ Names: [] }) : reject(new Error('gone')));
      });
      const api = apiOver(() => answered);
      const { arrivals } = api;
      expect(api.isQuietSince(arrivals)).toBe(true);
      const loaded = api.load(Readable.from([]), new AbortController().signal);
      expect([arrivals, api.arrivals].some((one) => api.isQuietSince(one))).toBe(false);
      settle();
      await loaded.catch(() => undefined);
      expect([api.isQuietSince(arrivals), api.isQuietSince(api.arrivals)]).toEqual([false, true]);
    },
  );
});
