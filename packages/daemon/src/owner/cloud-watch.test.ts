import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DirectProcess, VirtualClock } from '@podmesh/testkit';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DrainOrder } from '../claim/drain.ts';
import type { CloudName } from '../configuration.ts';
import { silent } from '../daemon.test-kit.ts';
import { CLOUD_READERS } from './cloud-notice.ts';
import { CloudWatch, metadataOverHttp } from './cloud-watch.ts';

/** A metadata service that answers as this cloud does; `notice` appears when the test says so. */
async function fakeCloud(cloud: CloudName | 'none') {
  const state = { notice: '' as string };
  const seen: string[] = [];
  const server = createServer(({ method, url, headers }, response) => {
    seen.push(`${method} ${url}`);
    const say = (status: number, text = '') => response.writeHead(status).end(text);
    if (cloud === 'aws' && url === '/latest/api/token') {
      const isAsked = headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined;
      return method === 'PUT' && isAsked ? say(200, 'T') : say(400);
    }
    if (cloud === 'aws' && url === '/latest/meta-data/spot/instance-action') {
      if (headers['x-aws-ec2-metadata-token'] !== 'T') return say(401);
      return state.notice === '' ? say(404) : say(200, state.notice);
    }
    if (cloud === 'gcp' && url === '/computeMetadata/v1/instance/preempted')
      return headers['metadata-flavor'] === 'Google' ? say(200, state.notice || 'FALSE') : say(403);
    if (cloud === 'azure' && url?.startsWith('/metadata/scheduledevents?'))
      return headers.metadata === 'true' ? say(200, state.notice || '{"Events":[]}') : say(400);
    return say(cloud === 'none' ? 500 : 404);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const get = metadataOverHttp({ PODMESH_METADATA_URL: `http://127.0.0.1:${port}` });
  return { state, seen, get };
}

const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();
const NOTICES: Readonly<Record<CloudName, string>> = {
  aws: JSON.stringify({ action: 'terminate', time: soon(120_000) }),
  gcp: 'TRUE\n',
  azure: JSON.stringify({
    Events: [
      { EventId: 'r', EventType: 'Reboot', NotBefore: soon(1) },
      {
        EventId: 'p',
        EventType: 'Preempt',
        NotBefore: new Date(Date.now() + 60_000).toUTCString(),
      },
    ],
  }),
};
const CLOUDS = Object.keys(CLOUD_READERS) as CloudName[];

describe('the notice of a cloud', () => {
  it.each(CLOUDS)('is read as %s tells it, and nothing before', async (cloud) => {
    const { state, get } = await fakeCloud(cloud);
    const read = () => CLOUD_READERS[cloud].read(get);
    expect(await read()).toBeUndefined();
    state.notice = NOTICES[cloud];
    const notice = await read();
    expect(notice?.leftMs).toBeGreaterThan(20_000);
    expect(notice?.leftMs).toBeLessThanOrEqual(120_000);
    expect(await read()).toMatchObject({ id: notice?.id });
  });

  it.each(CLOUDS)('of %s comes from nobody else', async (cloud) => {
    for (const other of [...CLOUDS.filter((one) => one !== cloud), 'none'] as const) {
      const { get } = await fakeCloud(other);
      await expect(CLOUD_READERS[cloud].read(get)).rejects.toThrow();
    }
  });

  it.each([
    ['gcp', 'auto'],
    ['azure', 'auto'],
    ['aws', 'aws'],
  ] as const)('of %s drains the peer once, with --cloud %s', async (cloud, option) => {
    const { state, seen, get } = await fakeCloud(cloud);
    const orders: DrainOrder[] = [];
    const virtual = new VirtualClock();
    const { clock } = new DirectProcess('p', virtual);
    const drain = async (order: DrainOrder) => void orders.push(order);
    const watch = new CloudWatch({ cloud: option, get, drain, clock, logger: silent });
    watch.start();
    const look = async () => {
      const before = seen.length;
      await virtual.advance(5_000);
      await expect.poll(() => seen.length).toBeGreaterThan(before);
    };
    await expect.poll(() => seen.length).toBeGreaterThan(0);
    expect(orders).toEqual([]);
    state.notice = NOTICES[cloud];
    await expect
      .poll(async () => {
        await virtual.advance(5_000);
        return orders.length;
      })
      .toBe(1);
    await look();
    await look();
    expect(orders).toHaveLength(1);
    expect(orders[0]?.deadlineMs).toBeGreaterThan(0);
    expect(orders[0]?.why).toBe('is taken away by its cloud');
    await watch.stop();
    await watch.stop();
  });
});
