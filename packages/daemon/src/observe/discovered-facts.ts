import type { PeerFacts } from '../peer-parts.ts';

/**
 * What does not change while a peer runs, for the discovery of services: values are texts there. What can be
 * overheard, anybody in the mesh may know: no keys, no addresses.
 */
export function discoveredFacts(facts: PeerFacts): Readonly<Record<string, string>> {
  const { machine, capacity, labels, hardware } = facts;
  return {
    hostname: machine.hostname,
    os: machine.os,
    arch: machine.arch,
    cpus: String(capacity.cpus),
    memory_bytes: String(capacity.memoryBytes),
    disk_bytes: String(capacity.diskBytes),
    gpus: String(capacity.gpus),
    battery: String(hardware.battery),
    labels: labels.join(','),
  };
}
