import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { PeerId } from '@podmesh/core';

/**
 * What a peer answers to a nonce: that it knows the key which it has published. An address may lead to a
 * stranger (a loopback address does, on another machine), and nobody is told a key before this.
 */
export function helloProof(key: string, peer: PeerId, nonce: string): string {
  return createHmac('sha256', key).update(`podmesh hello ${peer} ${nonce}`).digest('hex');
}

/** Compares in a time that says nothing about where two texts differ. */
export function isSameSecret(a: string, b: string): boolean {
  const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digestOf(a), digestOf(b));
}
