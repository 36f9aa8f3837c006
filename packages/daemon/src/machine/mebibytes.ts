const MIB = 2 ** 20;

/** An amount as people compare it, such as `512 MiB`; `?` when it was not measured. */
export function mebibytes(bytes: number | undefined): string {
  return bytes === undefined ? '?' : `${Math.round(bytes / MIB).toLocaleString('en')} MiB`;
}
