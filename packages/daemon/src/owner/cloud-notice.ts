import { millisecondsBetween } from './wall-time.ts';

/** A cloud says that it will take this machine away. */
export interface CloudNotice {
  /** Equal for the same notice told twice. */
  readonly id: string;
  /** What it is, for people. */
  readonly what: string;
  /** What is left, as far as the cloud says. */
  readonly leftMs: number;
}

export interface CloudReader {
  /** Undefined while there is no notice. Rejects where this cloud does not answer. */
  read(get: MetadataGet): Promise<CloudNotice | undefined>;
}

/** One request to the metadata service at its path; rejects where nobody answers with success or 404. */
export type MetadataGet = (
  base: string,
  path: string,
  request?: {
    readonly method?: 'GET' | 'PUT';
    readonly headers?: Readonly<Record<string, string>>;
  },
) => Promise<{ readonly status: number; readonly text: string }>;

const LINK_LOCAL = 'http://169.254.169.254';
/** Google gives half a minute from the notice, Azure at least as much; Amazon says when. */
const GIVEN_MS = 30_000;

/** Amazon EC2, instance metadata version 2. */
const aws: CloudReader = {
  async read(get) {
    const headers = { 'X-aws-ec2-metadata-token-ttl-seconds': '60' };
    const token = await get(LINK_LOCAL, '/latest/api/token', { method: 'PUT', headers });
    if (token.status !== 200) throw new Error(`no token: status ${token.status}`);
    const { status, text } = await get(LINK_LOCAL, '/latest/meta-data/spot/instance-action', {
      headers: { 'X-aws-ec2-metadata-token': token.text },
    });
    if (status === 404) return undefined;
    const { action, time }: Record<string, unknown> = Object(JSON.parse(text));
    const leftMs = millisecondsBetween(Date.now(), String(time)) ?? GIVEN_MS;
    return { id: `${time}`, what: `Amazon is going to ${action} this spot instance`, leftMs };
  },
};

/** Google Compute Engine. */
const gcp: CloudReader = {
  async read(get) {
    const path = '/computeMetadata/v1/instance/preempted';
    const headers = { 'Metadata-Flavor': 'Google' };
    const { status, text } = await get('http://metadata.google.internal', path, { headers });
    if (status === 404) throw new Error('it does not know of preemption');
    if (text.trim() !== 'TRUE') return undefined;
    return { id: 'preempted', what: 'Google preempts this instance', leftMs: GIVEN_MS };
  },
};

/** Azure, scheduled events. */
const azure: CloudReader = {
  async read(get) {
    const path = '/metadata/scheduledevents?api-version=2020-07-01';
    const { status, text } = await get(LINK_LOCAL, path, { headers: { Metadata: 'true' } });
    if (status === 404) throw new Error('it does not know of scheduled events');
    const { Events: events }: Record<string, unknown> = Object(JSON.parse(text));
    const ends = (Array.isArray(events) ? events : []).map(Object).find(isEnd);
    if (ends === undefined) return undefined;
    const leftMs = millisecondsBetween(Date.now(), String(ends.NotBefore)) ?? GIVEN_MS;
    return { id: String(ends.EventId), what: `Azure: ${ends.EventType} of this machine`, leftMs };
  },
};

const isEnd = ({ EventType: type }: Record<string, unknown>): boolean =>
  type === 'Preempt' || type === 'Terminate';

export const CLOUD_READERS = { aws, gcp, azure } as const;
