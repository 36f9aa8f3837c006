import { renameSync, statSync } from 'node:fs';
import { Writable } from 'node:stream';
import pino, { type Logger } from 'pino';

/** A log beyond this is put aside when the daemon starts; one older log is kept. */
const LOG_BYTES_MAX = 64 * 2 ** 20;

/** JSON lines into the file for programs, short lines on standard error for the person who watches. */
export function openDaemonLog(path: string, fields: Record<string, string>): Logger {
  putAside(path);
  const file = pino.destination({ dest: path, mode: 0o600, sync: true });
  // A full disk costs the log, never the daemon.
  file.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  return pino(
    { base: fields, level: process.env.PODMESH_LOG_LEVEL || 'info' },
    pino.multistream([
      { level: 'debug', stream: file },
      { level: 'info', stream: new HumanLines() },
    ]),
  );
}

class HumanLines extends Writable {
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    process.stderr.write(`${humanLine(chunk.toString('utf8'))}\n`);
    done();
  }
}

/** `12:31:07 claims nothing: … (run=… task=…)` */
export function humanLine(json: string): string {
  const { level, time, msg, err, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const { peer: _peer, ...fields } = rest;
  const clock = new Date(Number(time)).toISOString().slice(11, 19);
  const mark = Number(level) >= 50 ? 'ERROR ' : Number(level) >= 40 ? 'warning: ' : '';
  const cause = err && typeof err === 'object' && 'message' in err ? `: ${err.message}` : '';
  const listed = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
  const tail = listed.length > 0 ? ` (${listed.join(' ')})` : '';
  return `${clock} ${mark}${String(msg)}${cause}${tail}`;
}

function putAside(path: string): void {
  try {
    if (statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  } catch {
    // There is no log yet.
  }
}
