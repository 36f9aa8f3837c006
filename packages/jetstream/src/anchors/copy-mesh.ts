import { forEachBounded } from '../for-each-bounded.ts';
import {
  type CopiedStream,
  copyStream,
  type StreamCopyOptions,
  untilCurrent,
} from './copy-stream.ts';

/** Most streams are small, and each takes the servers a moment whatever is in it: they go all at once. */
const SMALL_BYTES = 16 * 1024 * 1024;
/** Large ones at the same time: more of them make a server's disk stall the restore. */
const LARGE_AT_ONCE = 2;

/**
 * Copies all streams from servers that take no writes any more to servers that nobody uses yet. When it resolves, every
 * replica has everything.
 */
export async function copyMesh(options: StreamCopyOptions): Promise<readonly CopiedStream[]> {
  const { from, to } = options;
  const small: string[] = [];
  const large: string[] = [];
  for await (const { config, state } of from.jsm.streams.list())
    (state.bytes > SMALL_BYTES ? large : small).push(config.name);
  const streams = [...small, ...large];
  for await (const { config } of to.jsm.streams.list())
    if (!streams.includes(config.name)) await to.jsm.streams.delete(config.name);
  const copied: CopiedStream[] = [];
  const copy = async (stream: string): Promise<void> => {
    copied.push(await copyStream(stream, options));
  };
  await forEachBounded(small, Math.max(1, small.length), copy);
  await forEachBounded(large, LARGE_AT_ONCE, copy);
  await Promise.all(streams.map((stream) => untilCurrent(to, stream)));
  return copied;
}
