import { type PeerId, peerId } from '@podmesh/core';
import type { Route } from '../local-api.ts';
import { ApiRefusal } from '../local-api-request.ts';
import type { AnchorDesk } from './anchor-desk.ts';

const ANCHORS_MAX = 7;
const ADVICE = 'Who carries the mesh, and who is proposed: podmesh anchors';

/**
 * What the owner of this machine may do about who carries the mesh, where its keys are. `change` is the number of the one
 * that is told of: whoever waits for another learns that it is over. `growsAgain`: where --auto-anchors is on.
 */
export function anchorRoutes(
  desk: Pick<AnchorDesk, 'change' | 'told' | 'asked' | 'rescue'>,
  growsAgain: boolean,
): ReadonlyMap<string, Readonly<Record<string, Route>>> {
  return new Map<string, Readonly<Record<string, Route>>>([
    [
      '/v1/anchors',
      {
        GET: async () => ({ told: desk.told, change: desk.asked }),
        POST: async (body) => {
          try {
            const lost = parsePeers(body, 'lost');
            const told =
              lost === undefined ? desk.change(parseAnchors(body)) : await desk.rescue(lost);
            return { told, change: desk.asked, growsAgain };
          } catch (error) {
            if (error instanceof ApiRefusal || !(error instanceof Error)) throw error;
            throw new ApiRefusal(409, error.message, ADVICE);
          }
        },
      },
    ],
  ]);
}

/** `{anchors: [peer]}`: who is to carry it; `{lost: [peer]}`: without whom what is here goes on. */
function parseAnchors(body: unknown): readonly PeerId[] {
  const anchors = parsePeers(body, 'anchors');
  if (anchors !== undefined) return anchors;
  throw new ApiRefusal(
    400,
    `"anchors" are no 1 to ${ANCHORS_MAX} peers`,
    'Use the podmesh of the same version as the daemon.',
  );
}

/** Undefined where they are not said, or make no sense. */
function parsePeers(body: unknown, key: 'anchors' | 'lost'): readonly PeerId[] | undefined {
  const said = (Object(body) as Readonly<Record<string, unknown>>)[key];
  if (!Array.isArray(said) || said.length === 0 || said.length > ANCHORS_MAX) return undefined;
  return said.map((name) => peerId(String(name)));
}
