import { open } from 'node:fs/promises';

/** Where distributions put a busybox, the surely static ones first. */
const CANDIDATES = [
  '/usr/lib/busybox/busybox-static',
  '/bin/busybox.static',
  '/bin/busybox',
  '/usr/bin/busybox',
  '/usr/local/bin/busybox',
  '/sbin/busybox',
];

/** The first statically linked busybox of the machine: it runs inside any image of this architecture. */
export async function findStaticBusybox(
  candidates: readonly string[] = CANDIDATES,
): Promise<string | undefined> {
  for (const path of candidates) {
    if (await isStaticElf(path)) return path;
  }
  return undefined;
}

/** ELF without a PT_INTERP program header: it needs no loader, and so no files beside itself. */
async function isStaticElf(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0);
      return bytesRead === 4096 && hasNoInterpreter(buffer);
    } finally {
      await file.close();
    }
  } catch {
    return false;
  }
}

/** 64-bit little-endian only: what all machines of today that run containers are. */
function hasNoInterpreter(head: Buffer): boolean {
  const elf64LittleEndian = head.readUInt32BE(0) === 0x7f454c46 && head[4] === 2 && head[5] === 1;
  if (!elf64LittleEndian) return false;
  const start = Number(head.readBigUInt64LE(0x20));
  const size = head.readUInt16LE(0x36);
  const count = head.readUInt16LE(0x38);
  for (let at = start, left = count; left > 0; at += size, left--) {
    if (at + 4 > head.length) return false;
    if (head.readUInt32LE(at) === 3) return false;
  }
  return true;
}
