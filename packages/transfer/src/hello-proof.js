import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/**
 * What a peer answers to a nonce: that it knows the key which it has published. An address may lead to a
 * stranger (a loopback address does, on another machine), and nobody is told a key before this.
 * @param {string} key
 * @param {string} peer
 * @param {string} nonce
 * @returns {string}
 */
export function helloProof(key, peer, nonce) {
  return createHmac('sha256', key).update(`podmesh hello ${peer} ${nonce}`).digest('hex');
}

/**
 * Compares in a time that says nothing about where two texts differ.
 * @param {string} a
 * @param {string} b
 * @returns {boolean}
 */
export function isSameSecret(a, b) {
  /** @param {string} text */
  const digestOf = (text) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digestOf(a), digestOf(b));
}
