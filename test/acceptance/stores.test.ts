import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { RunRecord } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandLine } from '../process-kit/command-line.ts';
import { Ending } from '../process-kit/ending.ts';
import { placed } from '../process-kit/large-artifact.ts';
import { HttpsServer, S3Process } from '../process-kit/outside-servers.ts';
import { BUSYBOX, podman } from '../process-kit/podman-containers.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';

const MINUTES = 60_000;
const BUCKET = 'lab-data';
const random = (): string => randomBytes(16).toString('hex');
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What nobody may find anywhere. */
const TOKEN = `token-${random()}`;
const KEY_FILE = `-----BEGIN KEY-----\n${random()}\n${random()}\n-----END KEY-----\n`;
const OWN = `own-${random()}`;
const S3_KEYS = { id: `id-${random()}`, secret: `secret-${random()}` };
const SIGNATURE = random();

describe('stores that people have, and secrets', () => {
  const ending = new Ending();
  let cluster: ProcessMesh;
  let web: HttpsServer;
  let s3: S3Process;
  let cli: CommandLine;
  let gets = 0;
  let keyFile = '';
  let bucket = '';
  const received = new Map<string, string>();

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    ending.defer(() => cluster.stop());
    web = await HttpsServer.start(cluster.folder);
    ending.defer(() => web.stop());
    const directory = join(cluster.folder, '..', `podmesh-s3-${random()}`);
    ending.defer(() => promisify(execFile)('rm', ['-rf', directory]));
    await mkdir(directory);
    s3 = await S3Process.start(directory, BUCKET, S3_KEYS);
    ending.defer(() => s3.stop());
    web.answer = (request, response) => {
      if (request.method === 'PUT') {
        const pieces: Buffer[] = [];
        request.on('data', (piece: Buffer) => pieces.push(piece));
        request.on('end', () => {
          received.set(request.url ?? '', Buffer.concat(pieces).toString());
          response.writeHead(200).end();
        });
        return;
      }
      gets += 1;
      // Another answer each time: only what was pinned is the same for all.
      response.end(`answer ${gets} of the web\n`);
    };
    const env = { NODE_EXTRA_CA_CERTS: web.certificate, PODMESH_SECRET_OWN: OWN };
    const [plain] = await Promise.all([
      cluster.addPeer('plain', { words: placed('plain'), env }),
      cluster.addPeer('fast', { words: placed('fast'), env, runtime: 'auto' }),
    ]);
    cli = new CommandLine(plain.options.home, cluster.folder, {
      API_TOKEN: TOKEN,
      S3_ID: S3_KEYS.id,
      S3_SECRET: S3_KEYS.secret,
      PUT_URL: web.url(`/put?sig=${SIGNATURE}`),
    });
    // It is the publisher's alone; where the mesh is, the grep below would find it.
    bucket = join(directory, BUCKET);
    keyFile = join(directory, 'key.pem');
    await writeFile(keyFile, KEY_FILE);
  }, 8 * MINUTES);

  afterAll(() => ending.end(), 8 * MINUTES);

  const heading = () => ({
    version: 1,
    secrets: {
      token: { env: 'API_TOKEN' },
      key: { file: keyFile },
      own: { peer: { env: 'OWN' } },
      's3-id': { env: 'S3_ID' },
      's3-secret': { env: 'S3_SECRET' },
      'put-url': { env: 'PUT_URL' },
    },
    stores: {
      [`s3://${BUCKET}`]: {
        endpoint: s3.endpoint,
        accessKeyId: 's3-id',
        secretAccessKey: 's3-secret',
      },
    },
    defaults: { container: BUSYBOX, needs: { cpus: 0.25, memory: '16MiB' } },
  });

  async function run(
    document: object,
  ): Promise<{ code: number | null; record: RunRecord; err: string }> {
    const said = await cli.feed(JSON.stringify(document), 'run', '-', '--json');
    const last = said.out.trim().split('\n').at(-1) ?? '';
    expect(last, said.err).not.toBe('');
    return {
      code: said.code,
      err: said.err,
      record: (JSON.parse(last) as { record: RunRecord }).record,
    };
  }

  /** Reads everything, says every secret aloud, and leaves what it found. */
  const tellAll = [
    'printf %s "$TOKEN" | sha256sum; sha256sum </run/secrets/key.pem; printf %s "$OWN" | sha256sum',
    'cat /in/web /in/object; ls /sys/class/net',
  ].join('; ');
  const job = (place: string, runtime: string) => ({
    id: `on-${place}`,
    runtime,
    needs: { labels: [`place=${place}`] },
    command: [
      'sh',
      '-c',
      `(${tellAll}) >/tmp/found; cp /tmp/found /tmp/again; echo "says $TOKEN"; cat /run/secrets/key.pem; echo "errs $TOKEN" >&2`,
    ],
    inputs: { web: web.url('/data'), object: { from: `s3://${BUCKET}/in` } },
    outputs: {
      found: { file: '/tmp/found', to: `s3://${BUCKET}/found-on-${place}` },
      again: { file: '/tmp/again', to: 'secret:put-url' },
    },
    secrets: { TOKEN: 'token', OWN: 'own', 'key.pem': { file: 'key' } },
  });

  it(
    'take each file of a directory, as often as it is delivered',
    async () => {
      const made = {
        id: 'made',
        command: [
          'sh',
          '-c',
          'mkdir -p /tmp/all/deep; echo a >/tmp/all/a; echo x >/tmp/all/deep/x',
        ],
        outputs: { all: { dir: '/tmp/all', to: `s3://${BUCKET}/all/` } },
      };
      for (let times = 0; times < 2; times += 1) {
        const { code, err } = await run({ ...heading(), jobs: [made] });
        expect(code, err).toBe(0);
      }
      const reader = {
        id: 'reader',
        command: ['sh', '-c', 'cat /in/a /in/x'],
        inputs: { a: `s3://${BUCKET}/all/a`, x: `s3://${BUCKET}/all/deep/x` },
        outputs: { both: 'fd:1' },
      };
      const { code, err } = await run({ ...heading(), jobs: [reader] });
      expect(code, err).toBe(0);
      const both = await cli.run('get', 'last/reader/both', '--output', '-');
      expect(both.out).toBe('a\nx\n');
    },
    8 * MINUTES,
  );

  it(
    'serve tasks without a network in both lanes, and no secret is left anywhere',
    async () => {
      const put = { id: 'put', command: ['sh', '-c', 'echo from the bucket'] };
      const outputs = { it: { fd: 1, to: `s3://${BUCKET}/in` } };
      expect((await run({ ...heading(), jobs: [{ ...put, outputs }] })).code).toBe(0);
      const jobs = [job('plain', 'podman'), job('fast', 'crun')];
      const { code, record, err } = await run({ ...heading(), jobs });
      expect(code, err).toBe(0);

      // The bytes of the first answer for both, whoever asked how often.
      const [, first = ''] = /(answer \d+ of the web)/.exec([...received.values()][0] ?? '') ?? [];
      const wanted = [
        ...[TOKEN, KEY_FILE, OWN].map((value) => `${sha256(value)}  -`),
        first,
        'from the bucket',
        'lo',
      ];
      const reader = {
        id: 'reader',
        command: ['sh', '-c', 'cat /in/a; echo; cat /in/b'],
        inputs: { a: `s3://${BUCKET}/found-on-plain`, b: `s3://${BUCKET}/found-on-fast` },
        outputs: { both: 'fd:1' },
      };
      const read = await run({ ...heading(), jobs: [reader] });
      expect(read.code, read.err).toBe(0);
      const got = await cli.run('get', `${read.record.run}/reader/both`, '--output', '-');
      expect(got.out.split('\n').filter((line) => line !== '')).toEqual([...wanted, ...wanted]);
      expect([...received.keys()]).toEqual([`/put?sig=${SIGNATURE}`]);

      // The task itself said them: they are masked, and nothing else is.
      const logs = await cli.run('logs', record.run);
      expect(logs.out + logs.err).toContain('says ***');
      expect(logs.out + logs.err).toContain('errs ***');
      await expectNowhere(record.run, [logs.out, logs.err, err, JSON.stringify(record)]);
    },
    8 * MINUTES,
  );

  async function expectNowhere(run: string, texts: readonly string[]): Promise<void> {
    const [line = ''] = KEY_FILE.split('\n').slice(1);
    const values = [TOKEN, line, OWN, S3_KEYS.secret, S3_KEYS.id, SIGNATURE];
    for (const value of values) for (const text of texts) expect(text).not.toContain(value);
    const graph = (await podman('info', '--format', '{{.Store.GraphRoot}}')).trim();
    const places = [cluster.folder, graph, '/dev/shm', process.env.XDG_RUNTIME_DIR ?? '/dev/shm'];
    // What may be there is found: so what is not found is not there.
    expect(await grep('says \\*\\*\\*', [cluster.folder])).not.toEqual([]);
    expect(await grep(run, [cluster.folder])).not.toEqual([]);
    expect(await grep(values.join('\\|'), places)).toEqual([]);
  }

  it(
    'says before anything starts which value is not there, and why a peer has none',
    async () => {
      const jobs = [{ id: 'a', command: ['true'], secrets: { A: 'gone' } }];
      const gone = { gone: { env: 'NOT_SET_ANYWHERE' } };
      const here = await cli.feed(
        JSON.stringify({ ...heading(), secrets: { ...heading().secrets, ...gone }, jobs }),
        ...['run', '-'],
      );
      expect(here.code).toBe(2);
      expect(here.err).toContain(
        'secrets.gone.env: the environment variable NOT_SET_ANYWHERE is not set',
      );

      const peers = { gone: { peer: { env: 'NOBODYS' } } };
      const document = { ...heading(), secrets: { ...heading().secrets, ...peers }, jobs };
      const { code, record } = await run(document);
      expect(code).toBe(1);
      const explained = await cli.run('explain', `${record.run}/a`);
      expect(explained.out).toMatch(/peer \S+ has no value for the secret gone/);
      expect(explained.out).toContain('PODMESH_SECRET_NOBODYS');
      expect(explained.out).toContain('input-missing');

      const missing = { id: 'm', command: ['true'], inputs: { x: `s3://${BUCKET}/not-there` } };
      const lost = await run({ ...heading(), jobs: [missing] });
      expect(lost.code).toBe(1);
      expect(JSON.stringify(lost.record)).toContain(
        `s3://${BUCKET}/not-there answered 404 NoSuchKey`,
      );
    },
    8 * MINUTES,
  );

  it(
    'reach a peer that came after the run was published, and a store is told again from the cache',
    async () => {
      const command = ['sh', '-c', 'echo "$TOKEN" | sha256sum'];
      const outputs = { it: { fd: 1, to: `s3://${BUCKET}/late` } };
      const late = { id: 'late', needs: { labels: ['place=late'] }, command, outputs };
      const jobs = [{ ...late, secrets: { TOKEN: 'token' } }];
      const following = run({ ...heading(), jobs });
      await cluster.addPeer('late', { words: placed('late') });
      const { code, err } = await following;
      expect(code, err).toBe(0);
      const [stored = ''] = (await readdir(bucket)).filter((name) => name.startsWith('late'));
      await rm(join(bucket, stored));
      const again = await run({ ...heading(), jobs });
      expect(again.code, again.err).toBe(0);
      expect(await readdir(bucket)).toContain(stored);
    },
    8 * MINUTES,
  );

  it(
    'are kept out of the log, and delivered, by a daemon that was killed while the task ran',
    async () => {
      const env = { PODMESH_KILL_AT: 'start-noted' };
      const killed = await cluster.addPeer('killed', {
        words: placed('killed'),
        env,
        runtime: 'auto',
      });
      const outputs = { it: { file: '/tmp/it', to: `s3://${BUCKET}/killed` } };
      const command = [
        'sh',
        '-c',
        'sleep 1; echo "says $TOKEN"; printf %s "$TOKEN" | sha256sum >/tmp/it',
      ];
      const job = { id: 'k', needs: { labels: ['place=killed'] }, command, outputs, cache: false };
      const following = run({ ...heading(), jobs: [{ ...job, secrets: { TOKEN: 'token' } }] });
      await killed.end();
      await killed.start();
      const { code, err, record } = await following;
      expect(code, err).toBe(0);
      expect(JSON.stringify(record)).toContain('"attempt":1');
      expect(JSON.stringify(record)).not.toContain('"attempt":2');
      const logs = await cli.run('logs', record.run);
      expect(logs.out + logs.err).toContain('says ***');
      expect(await readFile(join(bucket, 'killed._S3rver_object'), 'utf8')).toBe(
        `${sha256(TOKEN)}  -\n`,
      );
    },
    8 * MINUTES,
  );
});

/** Files that hold the pattern, whatever kind they are; what cannot be read belongs to another. */
async function grep(pattern: string, places: readonly string[]): Promise<string[]> {
  const words = ['-r', '-l', '-a', '-s', '-D', 'skip', '-e', pattern, ...new Set(places)];
  const { stdout } = await promisify(execFile)('grep', words, { maxBuffer: 2 ** 24 }).catch(
    (error: { stdout: string }) => error,
  );
  return stdout.split('\n').filter((line) => line !== '');
}
