/** Names looked at: a search must stay cheap among 200,000 of them, a hundred times over. */
const CANDIDATES_MAX = 10_000;

/**
 * The candidate that `name` most likely was meant to be: the least edit distance, the earlier one
 * on a tie, nothing when all differ by more than about a third of their letters.
 */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let allowed = Math.min(3, Math.ceil(name.length / 3));
  let looked = 0;
  for (const candidate of candidates) {
    if (++looked > CANDIDATES_MAX) break;
    if (Math.abs(candidate.length - name.length) > allowed) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase(), allowed);
    if (distance > allowed) continue;
    if (distance === 0) return candidate;
    nearest = candidate;
    allowed = distance - 1;
  }
  return nearest;
}

/** `Did you mean "x"? `, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const nearest = nearestName(name, candidates);
  return nearest === undefined ? '' : `Did you mean ${JSON.stringify(nearest)}? `;
}

/** Levenshtein's distance, or `most + 1` as soon as it is clear that it exceeds `most`. */
function editDistance(a: string, b: string, most: number): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const cost = Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      next.push(cost);
      least = Math.min(least, cost);
    }
    if (least > most) return most + 1;
    row = next;
  }
  return row[b.length] ?? most + 1;
}
