import { expect, it } from 'vitest';
import { parseSleeper } from './parse-sleeper.ts';

const LINK = { mac: '00:11:22:33:44:55', network: '192.168.1.0/24' };
const OFFERING = {
  capacity: { cpus: 4, memoryBytes: 2 ** 33, diskBytes: 2 ** 40, gpus: 0 },
  arch: 'amd64',
  labels: ['a=b'],
  runtimes: ['crun'],
};
const NOTE = {
  peer: 'attic',
  hostname: 'attic.lan',
  since: '2026-11-22T00:00:00.000Z',
  offering: OFFERING,
  links: [LINK],
  quiet: [{ fromMinute: 0, toMinute: 60, days: ['mon'] }],
  timeZone: 'Europe/Paris',
  calls: { count: 2, by: 'desk' },
};

it.each([[NOTE], [{ ...NOTE, forbids: 'wake: false', calls: undefined, quiet: [] }]])(
  'is a note as a machine leaves it',
  (note) => {
    expect(parseSleeper(note, 'attic')).toEqual(note);
  },
);

it.each<[string, unknown]>([
  ['nothing', null],
  ['a text', 'attic'],
  ['a list', [NOTE]],
  ['that of another peer', { ...NOTE, peer: 'barn' }],
  ['without a host', { ...NOTE, hostname: undefined }],
  ['with a host that is too long', { ...NOTE, hostname: 'a'.repeat(2_000) }],
  ['with a host that a terminal obeys', { ...NOTE, hostname: '\u001b[2J' }],
  ['called by nobody', { ...NOTE, calls: { count: 1, by: 'a b' } }],
  ['with a time zone that is none', { ...NOTE, timeZone: 7 }],
  ['with too many cards', { ...NOTE, links: Array(9).fill(LINK) }],
  ['with an address that is none', { ...NOTE, links: [{ ...LINK, mac: '00:11' }] }],
  ['with a longer address', { ...NOTE, links: [{ ...LINK, mac: `${LINK.mac}:66` }] }],
  ['with nobody’s address', { ...NOTE, links: [{ ...LINK, mac: '00:00:00:00:00:00' }] }],
  ['with a card in no network', { ...NOTE, links: [{ mac: LINK.mac }] }],
  ['with cards that are none', { ...NOTE, links: { length: 0 } }],
  ['without quiet times', { ...NOTE, quiet: undefined }],
  ['with a minute that is none', { ...NOTE, quiet: [{ fromMinute: -1, toMinute: 60 }] }],
  ['with a day that is none', { ...NOTE, quiet: [{ fromMinute: 0, toMinute: 1, days: ['x'] }] }],
  ['without an offering', { ...NOTE, offering: null }],
  ['with half a capacity', { ...NOTE, offering: { ...OFFERING, capacity: { cpus: 1 } } }],
  ['with labels that are none', { ...NOTE, offering: { ...OFFERING, labels: 'a=b' } }],
  ['without runtimes', { ...NOTE, offering: { ...OFFERING, runtimes: undefined } }],
  ['with a reason that is none', { ...NOTE, forbids: { why: 1 } }],
  ['with a reason that is too long', { ...NOTE, forbids: 'x'.repeat(20_000) }],
  ['with calls that are none', { ...NOTE, calls: { count: 'two', by: 'desk' } }],
])('is none: %s', (_, value) => {
  expect(parseSleeper(value, 'attic')).toBeUndefined();
});
