import { systemClock } from '@podmesh/transfer';
import { expect, it } from 'vitest';
import { magicPacket, sendMagicPackets } from './magic-packet.ts';

it('is six bytes 0xFF and sixteen times the address', () => {
  const packet = Buffer.from(magicPacket('00:1b:c5:0a:0b:0c'));
  expect(packet.toString('hex')).toBe(`ffffffffffff${'001bc50a0b0c'.repeat(16)}`);
});

it.each(['', '00:1b', '00:1b:c5:0a:0b:0c:0d', 'no address', '00:1B:C5:0A:0B:0C'])(
  'is none for what is no address: %s',
  (mac) => {
    expect(() => magicPacket(mac)).toThrow(TypeError);
  },
);

it('goes into the other networks where one of them is gone', async () => {
  const mac = '00:1b:c5:0a:0b:0c';
  const lost = { network: '192.0.2.0/24', address: '192.0.2.1', broadcast: '192.0.2.255' };
  const here = { network: '127.0.0.0/8', address: '127.0.0.1', broadcast: '127.255.255.255' };
  const links = [lost, here].map(({ network }) => ({ mac, network }));
  await expect(sendMagicPackets(links, [lost, here], systemClock)).resolves.toBeUndefined();
});

it('goes nowhere but into networks that both are in, and says what the system says', async () => {
  const links = [{ mac: '00:1b:c5:0a:0b:0c', network: '192.0.2.0/24' }];
  const elsewhere = { network: '198.51.100.0/24', address: '198.51.100.1', broadcast: '' };
  await sendMagicPackets(links, [elsewhere], systemClock);
  const lost = { network: '192.0.2.0/24', address: '192.0.2.1', broadcast: '192.0.2.255' };
  await expect(sendMagicPackets(links, [lost], systemClock)).rejects.toThrow('EADDRNOTAVAIL');
});
