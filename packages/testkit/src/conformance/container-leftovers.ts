import { peerId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { collectLog, ended, passed, startContainer, type UseRuntime } from './container-bench.ts';

/** What a restarted daemon finds. */
export function leftoverTests(use: UseRuntime): void {
  it('finds a running container, with its log', async () => {
    const bench = use();
    const { container, ready } = await startContainer(bench, bench.commands.waits());
    await ready;
    const restarted = await bench.restarted();
    const [found, ...others] = await restarted.leftovers(bench.peer);
    expect(others).toEqual([]);
    expect(found?.labels).toEqual(container.labels);
    const log = collectLog();
    found?.replayLog(log.sink);
    if (bench.replays !== 'since') await log.ready;
    await found?.stop(0);
    expect(await found?.wait()).toMatchObject({ code: 137, signal: 'SIGKILL' });
    expect(log.printed.stdout).toBe(bench.replays !== 'since' ? 'ready\n' : '');
  });

  it('stops a container that it found, gently', async () => {
    const bench = use();
    const { ready } = await startContainer(bench, bench.commands.waits());
    await ready;
    const [found] = await (await bench.restarted()).leftovers(bench.peer);
    if (found === undefined) throw new Error('not found');
    await passed(bench, 1_000, found.stop(10_000));
    expect(await found.wait()).toMatchObject({ code: 143, signal: 'SIGTERM' });
    await found.remove();
  });

  it('finds a container that ended meanwhile, with its exit, log and outputs', async () => {
    const bench = use();
    // Not standard output: what is an output is data, and no part of the log.
    const output = { kind: 'fd', fd: 3 } as const;
    const command = bench.commands.prints('printed\n', '');
    const { container } = await startContainer(bench, command, { outputs: { o: output } });
    await ended(bench, container);
    const [found] = await (await bench.restarted()).leftovers(bench.peer);
    const log = collectLog();
    found?.replayLog(log.sink);
    expect(await found?.wait()).toMatchObject({ code: 0 });
    expect(log.printed.stdout).toBe(bench.replays !== 'since' ? 'printed\n' : '');
    expect(await found?.readOutput(output)).toMatchObject({ ok: true });
    await found?.remove();
    expect(await bench.runtime.leftovers(bench.peer)).toEqual([]);
  });

  it("never shows another peer's containers", async () => {
    const bench = use();
    await startContainer(bench, bench.commands.exits(0));
    expect(await bench.runtime.leftovers(peerId('somebody-else'))).toEqual([]);
  });
}
