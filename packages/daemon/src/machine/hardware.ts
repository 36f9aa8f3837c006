import { hostname } from 'node:os';
import { canonicalArch, type Hardware, type Machine } from '@podmesh/core';
import si from 'systeminformation';

/** What is known of the machine once and for all. */
export interface MachineFacts {
  readonly machine: Omit<Machine, 'podmanVersion'>;
  readonly hardware: Hardware;
}

/** Reads the hardware with systeminformation; takes some hundred milliseconds. */
export async function readHardware(): Promise<MachineFacts> {
  const [cpu, flags, memory, os, graphics, battery] = await Promise.all([
    si.cpu(),
    si.cpuFlags(),
    si.mem(),
    si.osInfo(),
    si.graphics(),
    si.battery(),
  ]);
  const gpus = graphics.controllers.filter(isComputeGpu).map((gpu) => ({
    vendor: gpu.vendor,
    model: gpu.model,
    memoryBytes: (gpu.memoryTotal ?? gpu.vram ?? 0) * 2 ** 20,
  }));
  return {
    machine: {
      hostname: hostname(),
      kernel: os.kernel,
      arch: canonicalArch(process.arch),
      os: `${os.distro} ${os.release}`.trim(),
      cpuModel: `${cpu.manufacturer} ${cpu.brand}`.trim(),
      cores: cpu.cores,
      memoryBytes: memory.total,
    },
    hardware: {
      cpuFlags: flags.split(' ').filter((flag) => flag !== ''),
      gpus,
      battery: battery.hasBattery,
    },
  };
}

/** A display adapter of a virtual machine is no GPU to compute on. */
function isComputeGpu(gpu: { vendor: string }): boolean {
  return /nvidia|amd|advanced micro/i.test(gpu.vendor);
}
