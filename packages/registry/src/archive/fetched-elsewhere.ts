/** `urls`, every letter of it written as `\u0075`. */
const NAME_CHARS_MAX = 4 * '\\u0075'.length;

/**
 * Whether a descriptor in a document says where else its bytes may be fetched (OCI image specification, "descriptor"): a
 * runtime would ask that address itself, for a job that may have no network. Looked for in the text, because runtimes read names
 * in any case, and the members of objects that stand there twice.
 */
export function isFetchedElsewhere(document: string): boolean {
  const isFullList = /\s*:\s*\[\s*[^\]\s]/y;
  for (let start = document.indexOf('"'); start >= 0; ) {
    const end = endOfText(document, start + 1);
    if (end < 0) return false;
    isFullList.lastIndex = end + 1;
    const isShort = end - start <= NAME_CHARS_MAX + 1;
    if (isShort && isFullList.test(document) && isUrls(document.slice(start, end + 1))) return true;
    start = document.indexOf('"', end + 1);
  }
  return false;
}

/** Of the quote that ends it; -1: none does. No place is looked at twice, however long a hostile text is. */
function endOfText(document: string, from: number): number {
  for (let end = document.indexOf('"', from), after = from; end >= 0; ) {
    let slashes = 0;
    while (end - slashes > after && document[end - slashes - 1] === '\\') slashes += 1;
    if (slashes % 2 === 0) return end;
    after = end + 1;
    end = document.indexOf('"', after);
  }
  return -1;
}

function isUrls(quoted: string): boolean {
  try {
    return /^urls$/iu.test(String(JSON.parse(quoted)));
  } catch {
    return false;
  }
}
