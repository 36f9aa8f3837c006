import { type PeerId, peerId } from '@podmesh/core';
import type { Route } from '../local-api.ts';
import { ApiRefusal } from '../local-api-request.ts';
import type { AnchorDesk } from './anchor-desk.ts';

const ANCHORS_MAX = 7;
const ADVICE = 'Who carries the mesh, and who is proposed: podmesh anchors';

/** What the owner of this machine may do about who carries the mesh, where its keys are. */
export function anchorRoutes(
  desk: Pick<AnchorDesk, 'change' | 'told'>,
): ReadonlyMap<string, Readonly<Record<string, Route>>> {
  return new Map<string, Readonly<Record<string, Route>>>([
    [
      '/v1/anchors',
      {
        GET: async () => ({ told: desk.told }),
        POST: async (body) => {
          try {
            return { told: desk.change(parseAnchors(body)) };
          } catch (error) {
            if (error instanceof ApiRefusal || !(error instanceof Error)) throw error;
            throw new ApiRefusal(409, error.message, ADVICE);
          }
        },
      },
    ],
  ]);
}

/** `{anchors: [peer]}` */
function parseAnchors(body: unknown): readonly PeerId[] {
  const { anchors } = Object(body) as { readonly anchors?: unknown };
  if (Array.isArray(anchors) && anchors.length > 0 && anchors.length <= ANCHORS_MAX)
    return anchors.map((name) => peerId(String(name)));
  throw new ApiRefusal(
    400,
    `"anchors" are no 1 to ${ANCHORS_MAX} peers`,
    'Use the podmesh of the same version as the daemon.',
  );
}
