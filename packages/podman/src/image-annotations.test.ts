import { describe, expect, it } from 'vitest';
import { ImageCheck, ordersAmong } from './image-annotations.ts';

const ID = `sha256:${'a'.repeat(64)}`;
const FILTER = 'run.oci.seccomp_bpf_data';
/** What Podman writes of its own accord. */
const OWN = { 'io.podman.annotations.autoremove': 'FALSE', 'io.container.manager': 'libpod' };

/** A Podman with one image, which hands its annotations on as those before 4.6 do. */
class FakePodman {
  image: Record<string, string> = {};
  machine: Record<string, string> = {};
  /** Each request, in order. */
  readonly asked: string[] = [];
  arrivals = 0;
  arriving = 0;
  readonly images = this;

  isQuietSince(arrivals: number): boolean {
    return this.arriving === 0 && this.arrivals === arrivals;
  }

  async inspect(Id: string) {
    this.asked.push('image');
    const { image: Annotations } = this;
    return { Id, Architecture: 'amd64', Os: 'linux', Config: { Cmd: ['x'] }, Annotations };
  }

  async inspectRecipe() {
    this.asked.push('container');
    return { Config: { Annotations: { ...OWN, ...this.machine, ...this.image } } };
  }

  arrive(image: Record<string, string>): void {
    this.arrivals += 2;
    this.image = image;
  }
}

const start = async (check: ImageCheck) => check.check(await check.look(ID), 'c1');

describe('ordersAmong', () => {
  it('names what a runtime obeys, and lets descriptions be', () => {
    const orders = {
      [FILTER]: '',
      'run.oci.hooks.stdout': '',
      'org.criu.config': '',
      'org.systemd.property.MemoryMax': '',
      'module.wasm.image/variant': '',
      'io.kubernetes.cri.container-type': '',
      'krun.cpus': '',
      'cdi.k8s.io/x': '',
    };
    const descriptions = {
      ...OWN,
      'org.opencontainers.image.title': '',
      'org.opencontainers.image.stopSignal': '',
      'com.docker.official-images.bashbrew.arch': '',
      'x.run.oci.handler': '',
    };
    expect(ordersAmong({ ...descriptions, ...orders })).toEqual(Object.keys(orders));
    expect(ordersAmong(descriptions)).toEqual([]);
    expect(ordersAmong(null)).toEqual([]);
  });
});

describe('ImageCheck', () => {
  it('asks once for an image, and knows its configuration', async () => {
    const podman = new FakePodman();
    podman.image = { 'org.opencontainers.image.title': 'x' };
    const check = new ImageCheck(podman);
    expect((await check.look(ID)).config).toEqual({ Cmd: ['x'] });
    for (let round = 0; round < 3; round++) expect(await start(check)).toBeUndefined();
    expect(podman.asked).toEqual(['image', 'container']);
  });

  it('refuses an image with orders every time, and says what to do', async () => {
    const podman = new FakePodman();
    podman.image = { [FILTER]: 'BgAAAAAA/38=', 'run.oci.\u001b[31m': '' };
    const check = new ImageCheck(podman);
    for (let round = 0; round < 2; round++) {
      const problem = await start(check);
      expect(problem).toMatchObject({ kind: 'command' });
      for (const words of [ID, JSON.stringify(FILTER), '\\u001b[31m', 'Build it again without'])
        expect(problem?.message).toContain(words);
    }
  });

  it('bounds what it quotes', async () => {
    const podman = new FakePodman();
    for (let i = 0; i < 500; i++) podman.image[`run.oci.${i}.${'x'.repeat(1_000)}`] = '';
    const problem = await start(new ImageCheck(podman));
    expect(problem?.message).toContain('and 495 more');
    expect(problem?.message.length).toBeLessThan(1_000);
  });

  it('asks again after another image came, which may have the same id', async () => {
    const podman = new FakePodman();
    const check = new ImageCheck(podman);
    expect(await start(check)).toBeUndefined();
    podman.arrive({ [FILTER]: '' });
    expect(await start(check)).toMatchObject({ kind: 'command' });
    podman.arrive({});
    expect(await start(check)).toBeUndefined();
  });

  it('believes nothing while an image comes', async () => {
    const podman = new FakePodman();
    const check = new ImageCheck(podman);
    podman.arriving = 1;
    for (let round = 0; round < 2; round++) expect(await start(check)).toBeUndefined();
    const seen = await check.look(ID);
    podman.image = { [FILTER]: '' };
    expect(await check.check(seen, 'c1')).toMatchObject({ kind: 'command' });
    expect(podman.asked.filter((what) => what === 'container')).toHaveLength(3);
  });

  it('looks at the container when one came between looking and creating', async () => {
    const podman = new FakePodman();
    const check = new ImageCheck(podman);
    await start(check);
    const seen = await check.look(ID);
    podman.arrive({ [FILTER]: '' });
    expect(await check.check(seen, 'c1')).toMatchObject({ kind: 'command' });
  });

  it("forgets an image whose manifest somebody else's command changed", async () => {
    const podman = new FakePodman();
    const check = new ImageCheck(podman);
    await start(check);
    check.notice(await podman.inspect(ID));
    await start(check);
    expect(podman.asked.filter((what) => what === 'container')).toHaveLength(1);
    podman.image = { [FILTER]: '' };
    check.notice(await podman.inspect(ID));
    expect(await start(check)).toMatchObject({ kind: 'command' });
  });

  it('leaves what the owner of the machine configured', async () => {
    const podman = new FakePodman();
    podman.machine = { 'run.oci.keep_original_groups': '1' };
    const check = new ImageCheck(podman);
    for (let round = 0; round < 2; round++) expect(await start(check)).toBeUndefined();
    expect(podman.asked).toEqual(['image', 'container', 'image']);
    const seen = await check.look(ID);
    podman.arrive({});
    expect(await check.check(seen, 'c1'), 'not sure whose').toMatchObject({ kind: 'runtime' });
  });
});
