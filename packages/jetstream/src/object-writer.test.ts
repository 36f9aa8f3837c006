import { expect, it } from 'vitest';
import type { MeshConnection } from './mesh-connection.ts';
import { objectWriter } from './object-writer.ts';

/** What the client of the object store asks of a mesh that lets only keepers empty anything. */
function meshOf(isKeeper: boolean) {
  const asked: string[] = [];
  const streams = {
    purge: async () => {
      asked.push('purge');
      throw new Error('permission denied');
    },
    info: async () => asked.push('info'),
  };
  const js = {
    jetstreamManager: async () => ({ streams }),
    publish: async () => asked.push('publish'),
  };
  const mesh = { isKeeper, js, jsm: { streams } } as unknown as MeshConnection;
  return { mesh, asked, js };
}

it('is the client itself for who may empty what it wrote', () => {
  const { mesh, js } = meshOf(true);
  expect(objectWriter(mesh)).toBe(js);
});

it('empties nothing for others, and passes on all the rest', async () => {
  const { mesh, asked } = meshOf(false);
  const writer = objectWriter(mesh);
  const manager = await writer.jetstreamManager();
  expect(await manager.streams.purge('OBJ')).toEqual({ success: true, purged: 0 });
  expect(asked).toEqual([]);
  await manager.streams.info('OBJ');
  await writer.publish('subject');
  expect(asked).toEqual(['info', 'publish']);
});
