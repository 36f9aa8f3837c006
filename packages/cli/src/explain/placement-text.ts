import { unreachable } from '@podmesh/core';
import type { PeerVerdict } from './judge-peers.ts';

const NAMED_MAX = 5;

/** Whether and where a task could run, in a sentence without its full stop. `peers`: the nearest first. */
export function placementText(peers: readonly PeerVerdict[]): string {
  const [nearest] = peers;
  if (nearest === undefined) return 'no peer is there';
  const named = (verdict: PeerVerdict['verdict']): readonly string[] =>
    peers.filter((peer) => peer.verdict === verdict).map(({ peer }) => peer);
  const [free, busy, paused] = [named('free'), named('busy'), named('paused')];
  const leaving = leavingText(peers);
  if (free.length > 0) return `${listed(free)} could take it now, and will in a moment`;
  if (busy.length > 0) {
    return [`${listed(busy)} could take it but ${are(busy)} busy`, ...leaving].join('; ');
  }
  if (leaving.length > 0) return leaving.join('; ');
  if (paused.length > 0) {
    return `${listed(paused)} could take it but ${are(paused)} paused (${nearest.because.join('; ')})`;
  }
  return `no peer could ever run it; the closest is ${nearest.peer}: ${nearest.because.join('; ')}`;
}

/** Who has seen the job fail by the machine's fault, in the peer's own words. */
function leavingText(peers: readonly PeerVerdict[]): readonly string[] {
  const leaving = peers.filter(({ verdict }) => verdict === 'leaving');
  const [first] = leaving;
  if (first === undefined) return [];
  const [names, one] = [leaving.map(({ peer }) => peer), leaving.length === 1];
  const where = one ? 'there' : `on each; on ${first.peer}`;
  const why = first.because.join('; ');
  return [
    `${listed(names)} ${one ? 'leaves' : 'leave'} it to others, because its job fails ${where} (${why})`,
  ];
}

/** What the user can do about a task that waits for a peer. */
export function placementAdvice(peers: readonly PeerVerdict[]): readonly string[] {
  const [nearest] = peers;
  if (nearest === undefined) {
    return ['Start a peer: podmesh up, or on another machine: podmesh up --nats URL'];
  }
  switch (nearest.verdict) {
    case 'free':
      return ['If it still waits in half a minute: podmesh doctor, on that machine.'];
    case 'busy':
      return ['Wait, or add a machine: podmesh up --nats URL'];
    case 'leaving':
      return [
        `On ${nearest.peer}: podmesh doctor. When an attempt there does well, it leaves the job to others no more.`,
        'Or add a machine: podmesh up --nats URL',
      ];
    case 'paused':
      return [
        `On ${nearest.peer}: podmesh doctor, podmesh policy; if it is drained: podmesh undrain`,
      ];
    case 'unsuitable':
      return [
        'Ask for less under "needs" in the document and publish again, or add a machine that has it: podmesh up --nats URL',
        `If ${nearest.peer} has it and does not offer it, start it again with --cores, --memory, --disk or --label.`,
      ];
    default:
      return unreachable(nearest.verdict);
  }
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  return `${names.slice(0, NAMED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

const are = (names: readonly string[]): string => (names.length === 1 ? 'is' : 'are');
