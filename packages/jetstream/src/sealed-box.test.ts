import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { peerId, runId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { openBox, publicKeyText, sealBox } from './sealed-box.ts';

const address = { run: runId('abcdefghijkl'), peer: peerId('ann') };
const values = new Map([
  ['token', Buffer.from('a-value-that-nobody-may-read')],
  ['bytes', Buffer.from([0, 255, 10])],
]);
const { privateKey } = generateKeyPairSync('x25519');

it('opens for the holder of the key, also after it was kept in a file', () => {
  const box = sealBox(values, publicKeyText(privateKey), address);
  const kept = createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' }));
  expect(openBox(box, kept, address)).toEqual(values);
});

it('shows nothing of a value, and is never the same twice', () => {
  const box = sealBox(values, publicKeyText(privateKey), address);
  expect(box).not.toContain('nobody-may');
  expect(box).not.toContain(Buffer.from('a-value-that-nobody-may-read').toString('base64'));
  expect(sealBox(values, publicKeyText(privateKey), address)).not.toBe(box);
});

it('opens for nobody else, at no other place, and not when it was changed', () => {
  const box = sealBox(values, publicKeyText(privateKey), address);
  const other = generateKeyPairSync('x25519').privateKey;
  expect(openBox(box, other, address)).toBeUndefined();
  expect(openBox(box, privateKey, { ...address, run: runId('bbbbbbbbbbbb') })).toBeUndefined();
  expect(openBox(box, privateKey, { ...address, peer: peerId('bob') })).toBeUndefined();
  const sealed = JSON.parse(box) as { sealed: string };
  const changed = { ...sealed, sealed: `AAAA${sealed.sealed.slice(4)}` };
  expect(openBox(JSON.stringify(changed), privateKey, address)).toBeUndefined();
  expect(openBox('no box', privateKey, address)).toBeUndefined();
});

it('refuses what is no key', () => {
  expect(() => sealBox(values, 'no key', address)).toThrow();
});
