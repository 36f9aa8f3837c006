/**
 * Whether it names bytes that a registry of this very machine has, as a peer's own does: there TLS would protect nothing.
 * They never leave the machine, and they are compared with the digest.
 */
export function needsNoTls(reference: string): boolean {
  return /^127\.0\.0\.1:\d+\/[^@]+@sha256:[0-9a-f]{64}$/.test(reference);
}

/** The registry that a whole name begins with; undefined of a short one. */
export function registryOf(reference: string): string | undefined {
  const [first = '', ...rest] = reference.split('/');
  return rest.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? first : undefined;
}
