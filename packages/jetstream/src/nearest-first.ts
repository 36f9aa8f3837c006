import { greetServer } from './anchors/greet-server.ts';

/**
 * The addresses with the one in front whose server speaks first, the others in any order; undefined when none speaks
 * before the signal aborts. The client tries one after the other and waits 3 s for each machine that is switched off.
 */
export async function nearestFirst(
  servers: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  const decided = new AbortController();
  const either = AbortSignal.any([signal, decided.signal]);
  const greet = async (server: string): Promise<string> => {
    if ((await greetServer(server, either)) === undefined) throw new Error('silent');
    return server;
  };
  try {
    const nearest = await Promise.any(servers.map(greet));
    // Those whose server dies shall not all go to the same next one.
    const others = servers
      .filter((server) => server !== nearest)
      .map((server) => ({ server, at: Math.random() }))
      .sort((a, b) => a.at - b.at);
    return [nearest, ...others.map(({ server }) => server)];
  } catch {
    return undefined;
  } finally {
    decided.abort();
  }
}
