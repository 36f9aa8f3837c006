import type { AnchorRecord } from '@podmesh/core';
import { ClusterAdmin, type MeshConnection, retireServer } from '@podmesh/jetstream';
import type { DismissedWatchParts } from './dismissed-watch.ts';

/** What a server that may be dismissed asks its cluster, each over a connection of the system account of its own. */
export function clusterQuestions(
  system: () => Promise<MeshConnection>,
  connection: MeshConnection,
  signal: AbortSignal,
): Pick<DismissedWatchParts, 'members' | 'retire' | 'isWhole'> {
  const ask = async <T>(question: (admin: ClusterAdmin) => Promise<T>): Promise<T> => {
    const own = await system();
    return question(new ClusterAdmin(own)).finally(() => own.close());
  };
  return {
    members: () => ask(async (admin) => (await admin.members()).map(({ server }) => server)),
    retire: (server) => ask((admin) => retireServer(admin, connection, server, signal)),
    isWhole: ({ anchors }: AnchorRecord) =>
      ask(async (admin) => {
        const there = (await admin.survey()).map(({ server }) => server);
        return anchors.every(({ server }) => there.includes(server));
      }),
  };
}
