import { alignColumns } from './align-columns.ts';
import { shortId } from './short-id.ts';

/** An image and who holds it. */
export interface ListedImage {
  readonly image: string;
  readonly references: readonly string[];
  /** Empty: told by this machine alone, of itself. */
  readonly peers: readonly { readonly peer: string; readonly arch: string }[];
}

const HEADER = ['IMAGE', 'NAMES', 'ARCH', 'PEERS'];

/** Images as a table, by their names. */
export function imageTable(images: readonly ListedImage[]): readonly string[] {
  if (images.length === 0)
    return ['no image with a name is there; make one with: podmesh image build'];
  return alignColumns([HEADER, ...images.map(row)]);
}

function row({ image, references, peers }: ListedImage): readonly string[] {
  // A name by digest says in sixty letters what the first column says in twelve.
  const names = references.filter((reference) => !reference.includes('@'));
  const archs = [...new Set(peers.map(({ arch }) => arch))];
  return [
    shortId(image),
    names.join(', ') || (references[0] ?? '-'),
    archs.join(', ') || '-',
    peers.map(({ peer }) => peer).join(', ') || 'this machine',
  ];
}
