import { DAYS } from '../owner/owner-policy.ts';
import { SLEEPER_LINKS_MAX } from '../words/limits.ts';
import { isMacAddress, type SleepingPeer } from './sleeping-peers.ts';

/** A file of policy holds fewer, and a configuration fewer labels. */
const QUIET_MAX = 256;
const LABELS_MAX = 1_024;
const RUNTIMES_MAX = 16;
/** Names, times and labels. */
const TEXT_CHARS_MAX = 1_024;
/** All reasons of a policy, one after the other. */
const FORBIDS_CHARS_MAX = 16_384;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const MINUTES_A_DAY = 24 * 60;

/**
 * The note under the key of this peer; undefined for what is none. Whoever looks reads the notes of all: one that is
 * damaged must not hide the others, and what is in one ends up in packets and on terminals.
 */
export function parseSleeper(value: unknown, peer: string): SleepingPeer | undefined {
  const said = membersOf(value);
  const { links, quiet, forbids, calls } = said;
  const isWhole =
    said.peer === peer &&
    NAME.test(peer) &&
    [said.hostname, said.since, said.timeZone].every(isText) &&
    isOffering(said.offering) &&
    isListOf(links, SLEEPER_LINKS_MAX, isLink) &&
    isListOf(quiet, QUIET_MAX, isQuietTime) &&
    (forbids === undefined || isTextOf(forbids, FORBIDS_CHARS_MAX)) &&
    (calls === undefined || isCalls(calls));
  return isWhole ? (value as SleepingPeer) : undefined;
}

function isOffering(value: unknown): boolean {
  const { capacity, arch, labels, runtimes } = membersOf(value);
  const { cpus, memoryBytes, diskBytes, gpus } = membersOf(capacity);
  return (
    [cpus, memoryBytes, diskBytes, gpus].every((amount) => isWithin(amount, Number.MAX_VALUE)) &&
    isText(arch) &&
    isListOf(labels, LABELS_MAX, isText) &&
    isListOf(runtimes, RUNTIMES_MAX, isText)
  );
}

function isLink(value: unknown): boolean {
  const { mac, network } = membersOf(value);
  return typeof mac === 'string' && isMacAddress(mac) && isText(network);
}

function isQuietTime(value: unknown): boolean {
  const { fromMinute, toMinute, days } = membersOf(value);
  const isDay = (day: unknown): boolean => DAYS.some((one) => one === day);
  const isTime = [fromMinute, toMinute].every((minute) => isWithin(minute, MINUTES_A_DAY));
  return isTime && (days === undefined || isListOf(days, DAYS.length, isDay));
}

function isCalls(value: unknown): boolean {
  const { count, by } = membersOf(value);
  return (
    Number.isSafeInteger(count) &&
    isWithin(count, Number.MAX_SAFE_INTEGER) &&
    isText(by) &&
    NAME.test(String(by))
  );
}

function isListOf(value: unknown, most: number, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length <= most && value.every(isOne);
}

const isTextOf = (value: unknown, most: number): boolean =>
  typeof value === 'string' && value.length <= most;

/** Of one line, without what a terminal would obey. */
const isText = (value: unknown): boolean =>
  isTextOf(value, TEXT_CHARS_MAX) && !/\p{Cc}/u.test(String(value));

const isWithin = (value: unknown, most: number): boolean =>
  typeof value === 'number' && value >= 0 && value <= most;

/** None of what is no object. */
const membersOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {};
