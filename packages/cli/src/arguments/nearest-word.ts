/** The word that `typed` most likely was meant to be, at most two slips away; the earlier one on a tie. */
export function nearestWord(typed: string, words: readonly string[]): string | undefined {
  const allowed = Math.min(2, Math.floor(typed.length / 2));
  let nearest: { readonly word: string; readonly slips: number } | undefined;
  for (const word of words) {
    const slips = slipsBetween(typed.toLowerCase(), word);
    if (slips <= allowed && slips < (nearest?.slips ?? Infinity)) nearest = { word, slips };
  }
  return nearest?.word ?? words.find((word) => typed.length > 1 && word.startsWith(typed));
}

/** Letters to add, drop, replace, or swap with their neighbour (optimal string alignment). */
function slipsBetween(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          (rows[i - 1]?.[j - 1] ?? 0) + (same ? 0 : 1),
          (rows[i - 1]?.[j] ?? 0) + 1,
          (row[j - 1] ?? 0) + 1,
          swapped ? (rows[i - 2]?.[j - 2] ?? Infinity) + 1 : Infinity,
        ),
      );
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] ?? 0;
}
