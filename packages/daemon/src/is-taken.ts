import type { ServerResponse } from 'node:http';

/** Whether a piece of an answer went out; who takes nothing for `stallMs` is cut off. */
export function isTaken(
  response: ServerResponse,
  piece: string | Uint8Array,
  stallMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve(false);
    const late = setTimeout(() => response.destroy(), stallMs);
    const end = (isOut: boolean): void => {
      clearTimeout(late);
      response.removeListener('close', closed);
      resolve(isOut);
    };
    const closed = (): void => end(false);
    response.once('close', closed);
    response.write(piece, (error) => end(error === null || error === undefined));
  });
}
