import type { FakeMesh } from '../mesh/fake-mesh.ts';
import type { SimMachine } from './sim-machine.ts';
import type { World } from './world.ts';

/** What may befall the mesh as a whole, apart from the calls of single processes. */
const ACTIONS = {
  'lose-offers': ({ mesh, share }) => mesh.loseOffers(share),
  'lose-drives': ({ mesh, share }) => mesh.loseDrives(share),
  'duplicate-offers': ({ mesh, share }) => mesh.duplicateOffers(share),
  'duplicate-drives': ({ mesh, share }) => mesh.duplicateDrives(share),
  'lose-artifacts': ({ mesh, share }) => mesh.loseArtifacts(share),
  'restart-server': ({ mesh }) => mesh.restartServer(),
  outage: ({ world, mesh }) => {
    world.outage(world.random.between(500, 60_000));
    world.after(world.outageLeftMs(), () => mesh.restartServer());
  },
  'crash-machine': ({ victim }) => victim?.crash(),
  'freeze-machine': ({ world, victim }) => victim?.process?.freeze(world.span(world.plan.freezeMs)),
  'cut-off-machine': ({ world, victim }) =>
    victim?.process?.cutOff(world.span(world.plan.cutOffMs)),
  'block-machine': ({ world, victim }) => victim?.process?.block(world.random.between(500, 60_000)),
} satisfies Record<string, (scene: Scene) => unknown>;

export type Disturbance = keyof typeof ACTIONS;

/** All of them. */
export const DISTURBANCES = Object.keys(ACTIONS) as readonly Disturbance[];

interface Scene {
  readonly world: World;
  readonly mesh: FakeMesh;
  readonly share: number;
  readonly victim: SimMachine | undefined;
}

/** Schedules `count` random disturbances before the world's faults are over. */
export function scheduleChaos(
  world: World,
  mesh: FakeMesh,
  count: number,
  kinds: readonly Disturbance[] = DISTURBANCES,
): void {
  const until = Math.min(world.plan.faultsUntilMs, 24 * 60 * 60 * 1_000);
  for (let index = 0; index < count; index += 1) {
    const kind = world.random.pick(kinds);
    if (kind !== undefined) world.sometime([0, until], () => disturb(world, mesh, kind));
  }
}

/** Does it now. */
export function disturb(world: World, mesh: FakeMesh, kind: Disturbance): void {
  const share = world.random.pick([0.3, 1]) ?? 1;
  const victim = world.random.pick(world.machines);
  world.note('world', kind, victim?.name ?? '');
  ACTIONS[kind]({ world, mesh, share, victim });
}
