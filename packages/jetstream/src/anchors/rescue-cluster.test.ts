import { expect, it } from 'vitest';
import type { MeshConnection } from '../mesh-connection.ts';
import { rescueCluster } from './rescue-cluster.ts';

it('tells once each what servers say that do not let go of the others yet', async () => {
  const answers = [
    { error: { description: 'a leader is known' } },
    { error: { description: 'a leader is known' } },
    new Error('no responders'),
  ];
  async function* surveyed() {
    const meta = answers.length === 0 ? { leader: 'own', replicas: [] } : {};
    yield { json: () => ({ server: { name: 'own' }, data: { meta_cluster: meta } }) };
  }
  const system = {
    nc: { requestMany: async () => surveyed() },
    request: async () => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return { json: () => answer };
    },
  };
  const heard: string[] = [];
  await rescueCluster(system as unknown as MeshConnection, ['own'], undefined, (said) =>
    heard.push(said.replace(/^\S+ /, '')),
  );
  expect(heard).toEqual(['a leader is known', 'no responders']);
});
