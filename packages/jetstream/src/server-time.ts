import type { StreamInfo } from '@nats-io/jetstream';

/** When the server wrote this answer, by its own clock; its type in the client does not know it. Servers since 2.10 tell it. */
export function serverTimeMs(info: StreamInfo): number {
  const { ts } = info as StreamInfo & { readonly ts?: string };
  const timeMs = Date.parse(ts ?? '');
  if (Number.isNaN(timeMs)) throw new TypeError(`the server does not tell its time: ${ts}`);
  return timeMs;
}
