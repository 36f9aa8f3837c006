import { describe, expect, it } from 'vitest';
import { findMount, mountedDiskOf } from './mounted-disk.ts';

const MOUNTS = `21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:20 / /proc rw - proc proc rw
30 21 8:1 / /home rw - ext4 /dev/sda1 rw
31 30 8:2 / /home/with\\040blank rw master:2 - xfs /dev/sdb\\0112 rw
32 21 0:44 / /home rw - tmpfs cover rw
`;

describe('the disk of a path', () => {
  it.each([
    ['/', '/', '/dev/vda'],
    ['/homeless', '/', '/dev/vda'],
    ['/proc/1', '/proc', 'proc'],
    ['/home/with blank/x', '/home/with blank', '/dev/sdb\t2'],
  ])('%s is on %s', (path, mountPoint, device) => {
    expect(findMount(MOUNTS, path)).toEqual({ mountPoint, device });
  });

  it('is the one that covers the others', () => {
    expect(findMount(MOUNTS, '/home/user')).toEqual({ mountPoint: '/home', device: 'cover' });
  });

  it('is not known of a path that is not there', async () => {
    expect(await mountedDiskOf('/no/such/path')).toBeUndefined();
    expect(await mountedDiskOf('/')).toMatchObject({ mountPoint: '/' });
  });
});
