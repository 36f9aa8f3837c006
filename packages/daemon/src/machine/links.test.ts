import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import type { NetworkInterfaceInfo } from 'node:os';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type LinkSources, linkSources, ownNetworks, wakingLinks } from './links.ts';

const at = (cidr: string, mac = '00:11:22:33:44:55'): NetworkInterfaceInfo => {
  const [address = ''] = cidr.split('/');
  return { family: 'IPv4', address, cidr, mac, netmask: '', internal: false };
};

/** A folder as `/sys/class/net`: for each interface the files in it, and what stands there. */
async function sysfs(tree: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-sysfs-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, files] of Object.entries(tree)) {
    await mkdir(join(folder, name));
    for (const [file, text] of Object.entries(files)) {
      await mkdir(join(folder, name, file, '..'), { recursive: true });
      if (text === '/') await mkdir(join(folder, name, file), { recursive: true });
      else if (text.startsWith('../')) await symlink(text, join(folder, name, file));
      else await writeFile(join(folder, name, file), text);
    }
  }
  return folder;
}

const sourcesOf = (interfaces: Record<string, NetworkInterfaceInfo[]>, folder = '/nowhere') =>
  ({ interfaces: () => interfaces, sysfs: folder, cards: [] }) satisfies LinkSources;

it('networks are those in which somebody else may sleep, each once', () => {
  const sources = sourcesOf({
    lo: [{ ...at('127.0.0.1/8'), internal: true }],
    eth0: [at('192.168.7.20/24'), { ...at('fe80::1/64'), family: 'IPv6', scopeid: 2 }],
    wlan0: [at('192.168.7.21/24'), at('10.77.200.9/13')],
    docker0: [at('172.17.0.1/16')],
    wg0: [at('10.9.0.2/32')],
    tun0: [{ ...at('10.8.0.2/24'), cidr: null }],
    ppp0: [at('10.6.0.2/31')],
  });
  expect(ownNetworks(sources)).toEqual([
    { network: '192.168.7.0/24', address: '192.168.7.20', broadcast: '192.168.7.255' },
    { network: '10.72.0.0/13', address: '10.77.200.9', broadcast: '10.79.255.255' },
  ]);
});

it('are none where the system cannot tell', async () => {
  const interfaces = (): never => {
    throw new Error('uv_interface_addresses returned Unknown system error 97');
  };
  const sources = { ...sourcesOf({}), interfaces };
  expect(ownNetworks(sources)).toEqual([]);
  expect(await wakingLinks(sources)).toEqual([]);
});

it('cards that wake are wired ones, also behind a bridge, and wireless ones that may', async () => {
  const folder = await sysfs({
    eth0: { device: '/', address: '00:11:22:33:44:55\n' },
    wlan0: { device: '/', wireless: '/', 'device/power/wakeup': 'disabled\n' },
    wlan1: { device: '/', phy80211: '/', 'device/power/wakeup': 'enabled\n' },
    br0: { lower_eth1: '../eth1', lower_veth9: '../veth9' },
    eth1: { device: '/', address: 'AA:BB:CC:DD:EE:FF\n' },
    veth9: { address: '02:00:00:00:00:01\n' },
    dummy0: {},
    eth9: { device: '/' },
  });
  const sources = sourcesOf(
    {
      eth0: [at('192.168.1.2/24'), at('10.0.0.2/8')],
      wlan0: [at('192.168.2.2/24', '00:00:00:00:00:02')],
      wlan1: [at('192.168.3.2/24', '00:00:00:00:00:03')],
      br0: [at('192.168.4.2/24', '00:00:00:00:00:04')],
      dummy0: [at('192.168.5.2/24')],
      eth9: [at('192.168.6.2/24', '00:00:00:00:00:00')],
    },
    folder,
  );
  expect(await wakingLinks(sources)).toEqual([
    { mac: '00:11:22:33:44:55', network: '192.168.1.0/24' },
    { mac: '00:11:22:33:44:55', network: '10.0.0.0/8' },
    { mac: '00:00:00:00:00:03', network: '192.168.3.0/24' },
    { mac: 'aa:bb:cc:dd:ee:ff', network: '192.168.4.0/24' },
  ]);
});

it('this machine can be asked, and a test may have cards of its own', async () => {
  const sources = linkSources({ PODMESH_PRETEND_CARDS: 'eth5' });
  for (const { network } of await wakingLinks(sources)) expect(network).toMatch(/^[\d.]+\/\d+$/);
  const pretended = { ...sources, interfaces: () => ({ eth5: [at('10.1.2.3/24')] }) };
  expect(await wakingLinks(pretended)).toEqual([
    { mac: '00:11:22:33:44:55', network: '10.1.2.0/24' },
  ]);
});
