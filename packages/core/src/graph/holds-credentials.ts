import type { Finding } from './problem-list.ts';

/**
 * Whether a text for pip would let somebody in: `https://user:password@host`, a token in the place of both,
 * and `user:password@host` of a proxy. A user of ssh, and an `@` behind the host, are none.
 */
export function holdsCredentials(text: string): boolean {
  return (
    /https?:\/\/[^\s/?#]*@/i.test(text) ||
    /:\/\/[^\s/?#@:]*:[^\s/?#]*@/.test(text) ||
    /^[^\s/@:]+:[^\s/@]+@/.test(text)
  );
}

/** What is wrong with a place that `holdsCredentials`; `where` names the place, and never what stands there. */
export function secretIn(where: string): Finding {
  return {
    problem: `${where} holds a user name, password or token, which would be kept in the run log for everybody in the mesh`,
    advice:
      'Name an index that asks for none, or keep it in the configuration of pip on this machine, fetch the packages ' +
      'yourself and give their directory as "wheels": pip download --dest wheels -r requirements.txt',
  };
}
