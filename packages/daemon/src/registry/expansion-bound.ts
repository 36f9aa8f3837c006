import {
  EXPANDED_BYTES_MAX,
  EXPANDED_BYTES_SURE,
  EXPANSION_EVICTING_MAX,
  EXPANSION_MAX,
} from './image-limits.ts';

/** How large a compressed archive may become, and what the next byte would show. */
export interface ExpansionBound {
  readonly bytesMax: number;
  readonly because: string;
}

/** `freeBytes`: what can be written before anything has to give way. Its parts are as large again. */
export function expansionBound(bytes: number, freeBytes: number): ExpansionBound {
  const image = Math.min(EXPANDED_BYTES_MAX, bytes * EXPANSION_MAX);
  const room = Math.max(bytes * EXPANSION_EVICTING_MAX, Math.floor(freeBytes / 2));
  const bytesMax = Math.max(EXPANDED_BYTES_SURE, Math.min(image, room));
  const because =
    bytesMax < image ? 'for which this disk has no room to spare' : 'which no image does';
  return { bytesMax, because };
}
