import { DAYS, type LocalTime } from '@podmesh/core';

/** The clock on a wall elsewhere; undefined where nobody here knows that time zone. */
export function localTimeIn(timeZone: string, nowMs: number): LocalTime | undefined {
  try {
    const parts = new Intl.DateTimeFormat('en-US', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    }).formatToParts(nowMs);
    const told = (type: string): string => parts.find((part) => part.type === type)?.value ?? '';
    const today = told('weekday').toLowerCase();
    const day = DAYS.findIndex((name) => today.startsWith(name));
    return { day, minute: Number(told('hour')) * 60 + Number(told('minute')) };
  } catch {
    return undefined;
  }
}
