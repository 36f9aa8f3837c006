const LETTERS = 12;

/** A digest as Podman's own lists show it: its first twelve letters. */
export const shortId = (digest: string): string => digest.replace(/^sha256:/, '').slice(0, LETTERS);
