/**
 * What a peer says in the live log of an attempt while it pulls the image: `podmesh: pulling …`. Only there:
 * the stored log is what the task itself wrote, so that equal tasks have equal logs.
 */
export function pullLine(progress: string): string {
  return `${PREFIX}${progress.replace(/^pulling /, '')}\n`;
}

/** The text of a chunk of the live log that a peer wrote itself; undefined of a task's own output. */
export function readPullLine(chunk: string): string | undefined {
  return chunk.startsWith(PREFIX) && chunk.endsWith('\n') ? chunk.slice(0, -1) : undefined;
}

const PREFIX = 'podmesh: pulling ';
