import { lstat, mkdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  claimId,
  EMPTY_ARTIFACT,
  runId,
  taskId,
} from '@podmesh/core';
import { makeTree } from '@podmesh/jetstream';
import { sampleArtifact } from '@podmesh/testkit';
import { TransferError } from '@podmesh/transfer';
import { describe, expect, it } from 'vitest';
import { AttemptFailure, failureOfError } from '../execute/attempt-failure.ts';
import { LocalTaskFiles, type LocalTaskFilesOptions } from './local-task-files.ts';
import { brokenStream, entries, fileEntry, namesIn, temporaryFolder } from './store.test-kit.ts';
import { newFiles, portOf, wish } from './task-files.test-kit.ts';

describe("a task's output", () => {
  it('of a file is what another peer reads', async () => {
    const here = await newFiles();
    const there = await newFiles(here.mesh);
    const ref = await here.files.storeOutput('file', entries(fileEntry('', 'result\n')));
    expect(ref).toEqual(sampleArtifact(Buffer.from('result\n')).ref);
    expect(await readFile(await there.files.input(ref, wish), 'utf8')).toBe('result\n');
    expect(await readFile(await here.files.input(ref, wish), 'utf8')).toBe('result\n');
  });

  it('of a directory comes back with executables, empty folders and links', async () => {
    const here = await newFiles();
    const there = await newFiles(here.mesh);
    const ref = await here.files.storeOutput(
      'dir',
      entries(
        fileEntry('a.txt', 'a'),
        { kind: 'dir', path: 'sub' },
        fileEntry('sub/run', 'a', true),
        { kind: 'symlink', path: 'sub/link', target: '../a.txt' },
        { kind: 'dir', path: 'empty' },
      ),
    );
    expect(ref.kind).toBe('dir');
    const folder = await there.files.input(ref, wish);
    expect(await namesIn(folder)).toEqual(['a.txt', 'empty', 'sub']);
    expect(await readFile(join(folder, 'sub/run'), 'utf8')).toBe('a');
    expect((await stat(join(folder, 'a.txt'))).mode & 0o111).toBe(0);
    expect((await stat(join(folder, 'sub/run'))).mode & 0o111).toBe(0o111);
    expect((await lstat(join(folder, 'sub/link'))).isSymbolicLink()).toBe(true);
    expect(await readlink(join(folder, 'sub/link'))).toBe('../a.txt');
  });

  it('of equal content has one digest, whatever the order', async () => {
    const { files } = await newFiles();
    const [a, b] = ['a', 'b'].map((name) => () => fileEntry(name, name));
    const first = await files.storeOutput('dir', entries(...(a && b ? [a(), b()] : [])));
    const second = await files.storeOutput('dir', entries(...(a && b ? [b(), a()] : [])));
    expect(second).toEqual(first);
  });

  it('that holds an absolute link is refused with advice', async () => {
    const { files } = await newFiles();
    const link = { kind: 'symlink', path: 'link', target: '/etc/passwd' } as const;
    const error = await files.storeOutput('dir', entries(link)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AttemptFailure);
    expect(failureOfError(error)).toMatchObject({ kind: 'output-missing' });
    expect(String(error)).toContain('/etc/passwd');
    expect(String(error)).toContain('make the link relative');
  });

  it('that breaks while it is read fails, and leaves nothing half written', async () => {
    const { files, root, mesh } = await newFiles();
    const entry = { kind: 'file', path: 'x', executable: false, content: brokenStream('x') };
    const stored = files.storeOutput('dir', entries(entry as never));
    await expect(stored).rejects.toThrow('the stream broke');
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
    expect(mesh.artifacts.size).toBe(0);
  });

  it('whose upload fails fails as a whole', async () => {
    const { artifacts, mesh } = await newFiles();
    const put = () => Promise.reject(new Error('the cable was pulled'));
    const { files } = await newFiles(mesh, { ...portOf(artifacts), put });
    const many = Array.from({ length: 20 }, (_, at) => fileEntry(`f${at}`, `${at}`));
    await expect(files.storeOutput('dir', entries(...many))).rejects.toThrow('cable');
  });

  it('that the mesh has already is not sent again', async () => {
    const { artifacts, mesh, files: first } = await newFiles();
    await first.storeOutput('file', entries(fileEntry('', 'same')));
    async function* unread(): AsyncGenerator<Uint8Array> {
      yield await Promise.reject(new Error('sent again'));
    }
    const put = (ref: ArtifactRef) => artifacts.put(ref, unread());
    const { files } = await newFiles(mesh, { ...portOf(artifacts), put });
    expect(await files.storeOutput('file', entries(fileEntry('', 'same')))).toBeDefined();
  });
});

describe("a task's input", () => {
  it('is refused when the mesh gives other bytes, and not kept under the wrong name', async () => {
    const { mesh, artifacts } = await newFiles();
    const get = () => entriesOfBytes('something else');
    const { files } = await newFiles(mesh, { ...portOf(artifacts), get });
    const { ref } = sampleArtifact(Buffer.from('wanted'));
    await expect(files.input(ref, wish)).rejects.toThrow(`asked the mesh for ${ref.digest}`);
    await expect(files.input(ref, wish)).rejects.toThrow(`asked the mesh for ${ref.digest}`);
  });

  it('that nobody has is the failure input-missing', async () => {
    const { files } = await newFiles();
    const { ref } = sampleArtifact(Buffer.from('nowhere'));
    const error = await files.input(ref, wish).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ArtifactMissingError);
    expect(failureOfError(error).kind).toBe('input-missing');
  });

  it('comes from other peers first when it is large, and from the mesh when no peer has it', async () => {
    const here = await newFiles();
    const large = await here.files.storeOutput('file', entries(fileEntry('', 'x'.repeat(2 ** 21))));
    const small = await here.files.storeOutput('file', entries(fileEntry('', 'small')));
    const asked: unknown[] = [];
    const fromPeers: NonNullable<LocalTaskFilesOptions['fromPeers']> = {
      nobodyHas: async () => new Set(),
      get: async (artifact, { bytes }) => {
        asked.push([artifact, bytes]);
        throw new TransferError(artifact, 'no-source');
      },
    };
    const root = await temporaryFolder();
    const files = new LocalTaskFiles(root, here.artifacts, { fromPeers });
    await files.prepare();
    await files.input(small, wish);
    const path = await files.input(large, wish);
    expect((await stat(path)).size).toBe(large.bytes);
    expect(asked).toEqual([[large.digest, large.bytes]]);
    const full = new LocalTaskFiles(await temporaryFolder(), here.artifacts, {
      fromPeers: {
        get: () => Promise.reject(new Error('the disk is full')),
        nobodyHas: async () => new Set(),
      },
    });
    await full.prepare();
    await expect(full.input(large, wish)).rejects.toThrow('the disk is full');
  });

  it('that is a directory is asked for once, and what no peer has comes from the mesh', async () => {
    const here = await newFiles();
    const texts = ['x', 'y', 'z'].map((letter) => letter.repeat(2 ** 21));
    const large = texts.map((text) => sampleArtifact(Buffer.from(text)).ref.digest);
    const listed = texts.map((text, at) => fileEntry(`${at}`, text));
    const ref = await here.files.storeOutput('dir', entries(...listed, fileEntry('small', 's')));
    const questions: unknown[] = [];
    const gets: unknown[] = [];
    const fromPeers: NonNullable<LocalTaskFilesOptions['fromPeers']> = {
      nobodyHas: async (artifacts) => {
        questions.push(artifacts);
        return new Set(large.slice(1));
      },
      get: async (artifact) => {
        gets.push(artifact);
        throw new TransferError(artifact, 'stalled');
      },
    };
    const files = new LocalTaskFiles(await temporaryFolder(), here.artifacts, { fromPeers });
    await files.prepare();
    const folder = await files.input(ref, wish);
    expect(await namesIn(folder)).toEqual(['0', '1', '2', 'small']);
    expect(questions).toEqual([large]);
    expect(gets).toEqual(large.slice(0, 1));
  });

  it('is no longer fetched when the last who waits for it has left', async () => {
    const here = await newFiles();
    const large = await here.files.storeOutput('file', entries(fileEntry('', 'x'.repeat(2 ** 21))));
    const signals: AbortSignal[] = [];
    const fromPeers: NonNullable<LocalTaskFilesOptions['fromPeers']> = {
      nobodyHas: async () => new Set(),
      get: (_, { signal }) => {
        signals.push(signal);
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      },
    };
    const files = new LocalTaskFiles(await temporaryFolder(), here.artifacts, { fromPeers });
    await files.prepare();
    const stops = [new AbortController(), new AbortController()];
    const waits = stops.map(({ signal }) => files.input(large, { ...wish, signal }));
    const ends = waits.map((wait) => wait.catch((error: unknown) => error));
    await expect.poll(() => signals.length).toBe(1);
    stops[0]?.abort('first left');
    expect(await ends[0]).toBe('first left');
    expect(signals[0]?.aborted).toBe(false);
    stops[1]?.abort('all left');
    expect(await ends[1]).toBe('all left');
    await expect.poll(() => signals[0]?.aborted).toBe(true);
  });

  it('can be the empty artifact, which is stored nowhere', async () => {
    const { files } = await newFiles();
    const path = await files.input({ digest: EMPTY_ARTIFACT, kind: 'file', bytes: 0 }, wish);
    expect(await readFile(path, 'utf8')).toBe('');
  });

  it('is fetched once by many who want it at the same time', async () => {
    const here = await newFiles();
    const ref = await here.files.storeOutput('file', entries(fileEntry('', 'popular')));
    let gets = 0;
    const get: ArtifactStore['get'] = (id) => {
      gets += 1;
      return here.artifacts.get(id);
    };
    const { files } = await newFiles(here.mesh, { ...portOf(here.artifacts), get });
    const paths = await Promise.all(Array.from({ length: 10 }, () => files.input(ref, wish)));
    expect(new Set(paths).size).toBe(1);
    expect(gets).toBe(1);
  });

  it('may hang whole directories into one', async () => {
    const { files, artifacts } = await newFiles();
    const inner = await files.storeOutput('dir', entries(fileEntry('deep/x', 'x', true)));
    const outer = makeTree([
      { kind: 'tree', path: '0', digest: inner.digest },
      { kind: 'tree', path: '1', digest: inner.digest },
    ]);
    await artifacts.put(outer.ref, entriesOfBytes(Buffer.from(outer.bytes).toString()));
    const folder = await files.input(outer.ref, wish);
    expect(await readFile(join(folder, '0/deep/x'), 'utf8')).toBe('x');
    expect((await stat(join(folder, '1/deep/x'))).mode & 0o111).toBe(0o111);
  });

  it('whose listing misses a file leaves no folder behind', async () => {
    const { files, mesh, root } = await newFiles();
    const ref = await files.storeOutput('dir', entries(fileEntry('gone', 'gone')));
    const other = await newFiles(mesh);
    mesh.loseArtifact(sampleArtifact(Buffer.from('gone')).ref.digest);
    await expect(other.files.input(ref, wish)).rejects.toThrow(ArtifactMissingError);
    expect(await namesIn(join(other.root, 'trees'))).toEqual([]);
    expect(await namesIn(join(other.root, 'temporary'))).toEqual([]);
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
  });
});

it('gives an attempt a folder of its own and takes it back, twice too', async () => {
  const { files } = await newFiles();
  const folder = files.scratch(claimId('claim-1'));
  await files.release(claimId('claim-1'));
  await mkdir(join(folder, 'fd'), { recursive: true });
  await files.release(claimId('claim-1'));
  await files.release(claimId('claim-1'));
  await expect(stat(folder)).rejects.toThrow();
});

it("keeps an attempt's log over a restart, until it is given up", async () => {
  const { root, files, artifacts } = await newFiles();
  const claim = claimId('claim-1');
  const of = { run: runId('abcdefghij12'), task: taskId('a') };
  files.openLog(claim, of).write('stdout', Buffer.from('one\n'));
  const restarted = new LocalTaskFiles(root, artifacts);
  await restarted.prepare();
  const log = await restarted.reopenLog(claim, of);
  log.write('stdout', Buffer.from('two\n'));
  expect(await log.store()).toMatchObject({ bytes: 8, truncated: false });
  expect(await namesIn(join(root, 'scratch'))).toEqual(['claim-1.log']);
  await restarted.release(claim);
  expect(await namesIn(join(root, 'scratch'))).toEqual([]);
});

async function* entriesOfBytes(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
