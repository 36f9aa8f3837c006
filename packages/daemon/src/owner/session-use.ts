import type { BusObject, SystemBus } from './system-bus.ts';

const LOGIND = 'org.freedesktop.login1';
const MANAGER: BusObject = {
  destination: LOGIND,
  path: '/org/freedesktop/login1',
  interface: 'org.freedesktop.login1.Manager',
};
/** Sessions looked at; more than a machine has seats. */
const SESSIONS_MAX = 64;

/**
 * Milliseconds since somebody at the machine did something, by logind's sessions on a seat: 0 while one of them is
 * active and not idle. Who is logged in over the network sits at another machine. Rejects where there is no logind.
 */
export async function readUse(
  bus: Pick<SystemBus, 'call' | 'property'>,
  nowMs: number,
): Promise<number> {
  const listed = await bus.call(MANAGER, 'ListSessions');
  const idle: number[] = [];
  for (const session of (Array.isArray(listed) ? listed : []).slice(0, SESSIONS_MAX)) {
    // (id, uid, user, seat, path)
    const [, , , seat, path]: unknown[] = Array.isArray(session) ? session : [];
    if (typeof seat !== 'string' || seat === '' || typeof path !== 'string') continue;
    idle.push(await idleOf(bus, path, nowMs).catch(() => Number.POSITIVE_INFINITY));
  }
  return Math.min(Number.POSITIVE_INFINITY, ...idle);
}

async function idleOf(
  bus: Pick<SystemBus, 'property'>,
  path: string,
  nowMs: number,
): Promise<number> {
  const session = { destination: LOGIND, path, interface: 'org.freedesktop.login1.Session' };
  const get = (property: string): Promise<unknown> => bus.property(session, property);
  // A login screen is a session, too, and nobody's.
  if ((await get('Class')) !== 'user' || (await get('State')) !== 'active')
    return Number.POSITIVE_INFINITY;
  const [isIdle, isLocked] = [await get('IdleHint'), await get('LockedHint')];
  if (isIdle !== true && isLocked !== true) return 0;
  // Microseconds of the wall clock, by which both sides of this subtraction are told.
  const sinceMs = Number(await get('IdleSinceHint')) / 1_000;
  if (sinceMs > 0) return Math.max(0, nowMs - sinceMs);
  return Number.POSITIVE_INFINITY;
}
