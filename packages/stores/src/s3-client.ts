import type { S3Client } from '@aws-sdk/client-s3';
import { ExternalStoreError } from '@podmesh/core';
import { failureOfConnection, failureOfStatus } from './store-failure.ts';
import { ANSWER_MS, CONNECT_MS } from './store-limits.ts';

/** An object of S3 with the values of its credentials. */
export interface S3Place {
  readonly where: string;
  readonly bucket: string;
  readonly key: string;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** Absent: requests are not signed. */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
}

export type S3Sdk = typeof import('@aws-sdk/client-s3');

/** The client is large: who never names a bucket never loads it. */
export async function loadS3(): Promise<S3Sdk> {
  // What it says about versions of Node is no news for the owner of a peer, who would read it in the daemon's log.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  return await import('@aws-sdk/client-s3');
}

/**
 * A client for one place. It tries once, since who asks tries again where it makes sense, and it takes nothing from
 * the environment of the daemon: only the credentials that the document names.
 */
export function clientFor(sdk: S3Sdk, { endpoint, region, credentials }: S3Place): S3Client {
  return new sdk.S3Client({
    region: region ?? 'us-east-1',
    maxAttempts: 1,
    // Servers other than Amazon's know buckets as the first part of the path.
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    credentials: credentials ?? { accessKeyId: 'anonymous', secretAccessKey: 'anonymous' },
    ...(credentials === undefined ? { signer: { sign: async (request) => request } } : {}),
    // Parts carry a Content-MD5, which every server knows.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: ANSWER_MS },
  });
}

/** Codes are told, texts are not: they repeat access keys and signed requests. */
export function failureOfS3(where: string, error: unknown): ExternalStoreError {
  if (error instanceof ExternalStoreError) return error;
  const status = statusOf(error);
  if (status === undefined) return failureOfConnection(where, error);
  const name = error instanceof Error && /^[A-Za-z]{3,64}$/.test(error.name) ? error.name : '';
  return failureOfStatus(where, status, name);
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('$metadata' in error)) return undefined;
  const metadata: { readonly httpStatusCode?: unknown } = Object(error.$metadata);
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}
