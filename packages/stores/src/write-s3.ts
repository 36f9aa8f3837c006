import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { ExternalStoreError } from '@podmesh/core';
import { type Retrying, retried } from './retried.ts';
import { clientFor, failureOfS3, loadS3, type S3Place, type S3Sdk } from './s3-client.ts';
import { CLEAN_UP_MS, PART_BYTES, PARTS_AT_ONCE } from './store-limits.ts';

interface Upload {
  readonly where: string;
  readonly sdk: S3Sdk;
  readonly client: S3Client;
  readonly at: { readonly Bucket: string; readonly Key: string };
  readonly file: FileHandle;
  readonly bytes: number;
  readonly signal: AbortSignal;
  /** Sends a request, and again where that makes sense. */
  readonly send: <Value>(request: (options: SendOptions) => Promise<Value>) => Promise<Value>;
}

interface SendOptions {
  readonly abortSignal: AbortSignal;
}

/**
 * Stores a file as an object of S3: at once, or in parts when it is large, each with its MD5 for the store to check, each
 * request tried again by itself. At the end the length is asked for. An upload that fails is aborted, so that no parts stay that somebody pays for.
 */
export async function writeS3(
  place: S3Place,
  { path, bytes }: { readonly path: string; readonly bytes: number },
  retrying: Retrying,
): Promise<void> {
  const { where, bucket, key } = place;
  const { signal } = retrying;
  const sdk = await loadS3();
  const client = clientFor(sdk, place);
  const file = await open(path, 'r');
  const told = (error: unknown): never => {
    throw failureOfS3(where, error);
  };
  const send: Upload['send'] = (request) =>
    retried(() => request({ abortSignal: signal }).catch(told), retrying);
  const upload = {
    sdk,
    client,
    at: { Bucket: bucket, Key: key },
    file,
    bytes,
    signal,
    send,
    where,
  };
  const store = async (): Promise<void> => {
    await (bytes > PART_BYTES ? putParts(upload, retrying) : putWhole(upload));
    await checkLength(upload);
  };
  try {
    await retried(store, retrying);
  } catch (error) {
    signal.throwIfAborted();
    throw failureOfS3(where, error);
  } finally {
    client.destroy();
    await file.close();
  }
}

async function putWhole(upload: Upload): Promise<void> {
  const { sdk, client, at, bytes, send } = upload;
  const body = await readPart(upload, 0, bytes);
  const command = new sdk.PutObjectCommand({ ...at, Body: body, ContentMD5: md5(body) });
  await send((options) => client.send(command, options));
}

async function putParts(upload: Upload, retrying: Retrying): Promise<void> {
  const { sdk, client, at, send } = upload;
  const create = new sdk.CreateMultipartUploadCommand(at);
  const { UploadId } = await send((options) => client.send(create, options));
  const whole = { ...at, UploadId };
  try {
    const Parts = await sendParts(upload, UploadId, retrying);
    const complete = new sdk.CompleteMultipartUploadCommand({
      ...whole,
      MultipartUpload: { Parts },
    });
    await send((options) => client.send(complete, options));
  } catch (error) {
    const abortSignal = AbortSignal.timeout(CLEAN_UP_MS);
    const abort = new sdk.AbortMultipartUploadCommand(whole);
    await client.send(abort, { abortSignal }).catch(() => undefined);
    throw error;
  }
}

async function sendParts(upload: Upload, UploadId: string | undefined, retrying: Retrying) {
  const { sdk, client, at, bytes, where } = upload;
  const failed = new AbortController();
  const abortSignal = AbortSignal.any([upload.signal, failed.signal]);
  const count = Math.ceil(bytes / PART_BYTES);
  const parts: { ETag: string | undefined; PartNumber: number }[] = [];
  let next = 0;
  const send = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const start = i * PART_BYTES;
      const body = await readPart(upload, start, Math.min(PART_BYTES, bytes - start));
      const part = { ...at, UploadId, PartNumber: i + 1, Body: body, ContentMD5: md5(body) };
      const put = () =>
        client.send(new sdk.UploadPartCommand(part), { abortSignal }).catch((error: unknown) => {
          throw failureOfS3(where, error);
        });
      const { ETag } = await retried(put, { ...retrying, signal: abortSignal });
      parts[i] = { ETag, PartNumber: i + 1 };
    }
  };
  const senders = Array.from({ length: PARTS_AT_ONCE }, () =>
    send().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  // All have ended before the upload is aborted: a part that came later would stay.
  const ended = await Promise.allSettled(senders);
  for (const end of ended) if (end.status === 'rejected') throw failed.signal.reason ?? end.reason;
  return parts;
}

async function readPart({ file }: Upload, start: number, length: number): Promise<Buffer> {
  const body = Buffer.alloc(length);
  for (let read = 0; read < length; ) {
    const { bytesRead } = await file.read(body, read, length - read, start + read);
    if (bytesRead === 0) throw new Error('the file is shorter than it was');
    read += bytesRead;
  }
  return body;
}

/** Some servers answer well for what they did not keep. */
async function checkLength({ sdk, client, at, bytes, send, where }: Upload) {
  const look = new sdk.HeadObjectCommand(at);
  const head = await send((options) => client.send(look, options)).catch((error: unknown) => {
    // Who may only write may not look.
    if (failureOfS3(where, error).kind === 'refused') return { ContentLength: bytes };
    throw error;
  });
  if (head.ContentLength === bytes) return;
  const message = `${where} has ${head.ContentLength} bytes after ${bytes} were stored there`;
  throw new ExternalStoreError('failed', message, { retryable: true });
}

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('base64');
