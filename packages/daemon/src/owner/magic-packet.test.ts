import { systemClock } from '@podmesh/transfer';
import { expect, it } from 'vitest';
import { magicPacket, sendMagicPackets } from './magic-packet.ts';

it('is six bytes 0xFF and sixteen times the address', () => {
  const packet = Buffer.from(magicPacket('00:1b:c5:0a:0b:0c'));
  expect(packet.toString('hex')).toBe(`ffffffffffff${'001bc50a0b0c'.repeat(16)}`);
});

it('goes nowhere but into networks that both are in, and says what the system says', async () => {
  const links = [{ mac: '00:1b:c5:0a:0b:0c', network: '192.0.2.0/24' }];
  const elsewhere = { network: '198.51.100.0/24', address: '198.51.100.1', broadcast: '' };
  await sendMagicPackets(links, [elsewhere], systemClock);
  const lost = { network: '192.0.2.0/24', address: '192.0.2.1', broadcast: '192.0.2.255' };
  await expect(sendMagicPackets(links, [lost], systemClock)).rejects.toThrow('EADDRNOTAVAIL');
});
