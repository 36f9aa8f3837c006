import { type Opened, type ReadTimes, resumingRead } from './resuming-read.ts';
import { clientFor, failureOfS3, loadS3, type S3Place } from './s3-client.ts';

/** The bytes of an object of S3, of one version. */
export async function* readS3(
  place: S3Place,
  signal: AbortSignal,
  times?: ReadTimes,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { where, bucket, key } = place;
  const sdk = await loadS3();
  const client = clientFor(sdk, place);
  const open = async (
    start: number,
    etag: string | undefined,
    stop: AbortSignal,
  ): Promise<Opened> => {
    const command = new sdk.GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ...(start === 0 ? {} : { Range: `bytes=${start}-` }),
      ...(etag === undefined ? {} : { IfMatch: etag }),
    });
    try {
      const answer = await client.send(command, { abortSignal: stop });
      return openedBy(answer, start);
    } catch (error) {
      throw failureOfS3(where, error);
    }
  };
  try {
    yield* resumingRead(where, open, signal, times);
  } finally {
    client.destroy();
  }
}

interface Answer {
  readonly Body?: unknown;
  readonly ETag?: string | undefined;
  readonly ContentLength?: number | undefined;
  readonly ContentRange?: string | undefined;
}

function openedBy({ Body, ETag, ContentLength, ContentRange }: Answer, asked: number): Opened {
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(ContentRange ?? '');
  const start = range === null ? 0 : Number(range[1] ?? asked);
  const bytes = range === null ? ContentLength : Number(range[2]);
  return {
    start,
    ...(bytes === undefined ? {} : { bytes }),
    ...(ETag === undefined ? {} : { etag: ETag }),
    // In Node it is a readable stream; the SDK's type also speaks of browsers.
    body: Body as AsyncIterable<Uint8Array>,
  };
}
