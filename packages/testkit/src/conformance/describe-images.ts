import {
  type ArchivedImages,
  artifactId,
  type ImageManifests,
  type ImageTags,
  type ManifestRecord,
  type MirrorClaims,
  peerId,
  type TagRecord,
} from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { freshAction } from '../samples.ts';
import { type Bench, type MakeBench, until, useBench } from './bench.ts';

type ImageBench = Bench<{
  readonly imageTags: ImageTags;
  readonly imageManifests: ImageManifests;
  readonly archivedImages: ArchivedImages;
  readonly mirrorClaims: MirrorClaims;
}>;

/** More than one answer of a server holds. */
const MANY = 1_100;

/** What the names of images must do, whatever is behind them. */
export function describeImages(name: string, make: MakeBench<ImageBench>): void {
  describe(`${name}: MirrorClaims`, () => {
    const use = useBench(make);
    const [ann, bob] = [peerId('ann'), peerId('bob')];
    const image = 'quay.io/me/tool@1.0';

    it("are one peer's as long as it renews them, and somebody else's who saw that it does not", async () => {
      const { ports, other } = use();
      const mine = await ports.mirrorClaims.take(image, ann, undefined);
      expect(mine.kind).toBe('mine');
      const theirs = await other.mirrorClaims.take(image, bob, undefined);
      expect(theirs).toEqual({ kind: 'others', revision: mine.revision });
      const renewed = await ports.mirrorClaims.take(image, ann, mine.revision);
      expect(renewed.kind).toBe('mine');
      expect((await other.mirrorClaims.take(image, bob, theirs.revision)).kind).toBe('others');
      const over = await other.mirrorClaims.take(image, bob, renewed.revision);
      expect(over.kind).toBe('mine');
      expect((await ports.mirrorClaims.take(image, ann, renewed.revision)).kind).toBe('others');
    });

    it('are free again when they are given back, which is harmless twice', async () => {
      const { ports, other } = use();
      await ports.mirrorClaims.take(image, ann, undefined);
      await ports.mirrorClaims.release(image);
      await ports.mirrorClaims.release(image);
      expect((await other.mirrorClaims.take(image, bob, undefined)).kind).toBe('mine');
      expect((await other.mirrorClaims.take('other@1', bob, undefined)).kind).toBe('mine');
      expect(await other.imageTags.list()).toEqual([]);
    });
  });

  describe(`${name}: ArchivedImages`, () => {
    const use = useBench(make);

    it('tell everybody what is in an archive, and nothing of others', async () => {
      const { ports, other } = use();
      const [archive, another] = [artifactId(freshAction()), artifactId(freshAction())];
      const { digest, mediaType, bytes } = tagRecord();
      expect(await other.archivedImages.find(archive)).toBeUndefined();
      await ports.archivedImages.note(archive, { digest, mediaType, bytes });
      await ports.archivedImages.note(archive, { digest, mediaType, bytes });
      expect(await other.archivedImages.find(archive)).toEqual({ digest, mediaType, bytes });
      expect(await other.archivedImages.find(another)).toBeUndefined();
    });
  });

  describe(`${name}: ImageTags`, () => {
    const use = useBench(make);

    it('gives what a tag means, to everybody, and nothing for others', async () => {
      const { ports, other } = use();
      const record = tagRecord();
      await ports.imageTags.set('me/tool', '1.0', record);
      expect(await other.imageTags.find('me/tool', '1.0')).toEqual(record);
      expect(await other.imageTags.find('me/tool', '1.1')).toBeUndefined();
      expect(await other.imageTags.find('me', 'tool.1.0')).toBeUndefined();
    });

    it('lists the tags of one repository, and of all', async () => {
      const { ports, other } = use();
      const record = tagRecord();
      await ports.imageTags.set('a/b', '1', record);
      await ports.imageTags.set('a/b', 'latest_x', record);
      await ports.imageTags.set('a', 'b', record);
      const listed = await other.imageTags.list('a/b');
      expect(listed.map(({ tag }) => tag).sort()).toEqual(['1', 'latest_x']);
      expect(listed[0]).toMatchObject({ repository: 'a/b', record });
      expect(await other.imageTags.list()).toHaveLength(3);
      expect(await other.imageTags.list('nobody')).toEqual([]);
    });

    it('lists more than fit into one answer', async () => {
      const { ports, other } = use();
      const record = tagRecord();
      const tags = Array.from({ length: MANY }, (_, index) => `t${index}`);
      await Promise.all(tags.map((tag) => ports.imageTags.set('many', tag, record)));
      expect(await other.imageTags.list('many')).toHaveLength(MANY);
    });

    it('keeps the history of a tag that moves, goes, and comes back', async () => {
      const { ports, other } = use();
      const [one, two] = [tagRecord(), tagRecord()];
      const first = await ports.imageTags.set('me/tool', '1', one);
      const second = await other.imageTags.set('me/tool', '1', two);
      expect(second).toBeGreaterThan(first);
      await ports.imageTags.remove('me/tool', '1');
      expect(await other.imageTags.find('me/tool', '1')).toBeUndefined();
      expect(await other.imageTags.list('me/tool')).toEqual([]);
      await other.imageTags.set('me/tool', '1', one);
      const history = await ports.imageTags.history('me/tool', '1');
      expect(history.map(({ record }) => record)).toEqual([one, two, undefined, one]);
      expect(history.map(({ revision }) => revision)).toEqual(
        history.map(({ revision }) => revision).sort((a, b) => a - b),
      );
      expect(Date.parse(history[0]?.at ?? '')).not.toBeNaN();
      expect(await ports.imageTags.history('me/tool', 'other')).toEqual([]);
    });

    it('the last of those who push one tag at the same time wins, for everybody', async () => {
      const { ports, other } = use();
      const records = Array.from({ length: 6 }, () => tagRecord());
      const revisions = await Promise.all(
        records.map((record, index) =>
          (index % 2 === 0 ? ports : other).imageTags.set('me/tool', 'x', record),
        ),
      );
      const winner = records[revisions.indexOf(Math.max(...revisions))];
      expect(await ports.imageTags.find('me/tool', 'x')).toEqual(winner);
      expect(await other.imageTags.find('me/tool', 'x')).toEqual(winner);
    });

    it('removes what is not there without a word', async () => {
      const { ports } = use();
      await ports.imageTags.remove('me/tool', 'nobody');
      expect(await ports.imageTags.list('me/tool')).toEqual([]);
    });
  });

  describe(`${name}: ImageManifests`, () => {
    const use = useBench(make);

    it('knows a manifest in the repository that has it, until it is removed', async () => {
      const { ports, other } = use();
      const [plain, about] = [manifestRecord(), manifestRecord(true)];
      await ports.imageManifests.put('me/tool', plain);
      await ports.imageManifests.put('me/tool', about);
      expect(await other.imageManifests.find('me/tool', plain.digest)).toEqual(plain);
      expect(await other.imageManifests.find('me', plain.digest)).toBeUndefined();
      await until(use(), async () => (await other.imageManifests.list('me/tool')).length === 2);
      await other.imageManifests.remove('me/tool', plain.digest);
      await other.imageManifests.remove('me/tool', plain.digest);
      expect(await ports.imageManifests.find('me/tool', plain.digest)).toBeUndefined();
      expect(await ports.imageManifests.list('me/tool')).toEqual([about]);
      expect(await ports.imageManifests.list('me')).toEqual([]);
    });
  });
}

function tagRecord(): TagRecord {
  const digest = artifactId(freshAction());
  return { digest, mediaType: 'application/x', bytes: 7, by: peerId('peer-a') };
}

function manifestRecord(hasSubject = false): ManifestRecord {
  const { digest, mediaType, bytes } = tagRecord();
  const subject = hasSubject ? { subject: artifactId(freshAction()) } : {};
  return { digest, mediaType, bytes, ...subject };
}
