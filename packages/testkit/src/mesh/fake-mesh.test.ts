import { LEASE_MS } from '@podmesh/core';
import { describeMesh } from '../conformance/describe-mesh.ts';
import { DirectProcess } from '../process/direct-process.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { FakeMesh } from './fake-mesh.ts';

describeMesh('FakeMesh', async () => {
  const clock = new VirtualClock();
  const mesh = new FakeMesh(clock);
  const process = new DirectProcess('a', clock);
  return {
    ports: mesh.portsFor(process),
    other: mesh.portsFor(new DirectProcess('b', clock)),
    leaseMs: LEASE_MS,
    advance: (ms: number) => clock.advance(ms),
    cutOff: async () => process.cutOff(),
    dispose: async () => undefined,
  };
});
