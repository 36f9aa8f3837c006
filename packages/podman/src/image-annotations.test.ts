import { describe, expect, it } from 'vitest';
import { checkAnnotations, handsAnnotationsOn, ordersAmong } from './image-annotations.ts';

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
  readonly images = this;

  isQuietSince(arrivals: number): boolean {
    return this.arrivals === arrivals;
  }

  async inspect(Id: string) {
    this.asked.push('image');
    return { Id, Architecture: 'amd64', Os: 'linux', Annotations: this.image };
  }

  async inspectRecipe() {
    this.asked.push('container');
    return { Config: { Annotations: { ...OWN, ...this.machine, ...this.image } } };
  }
}

const check = (podman: FakePodman) =>
  checkAnnotations(podman, { id: 'c1', image: ID, arrivals: podman.arrivals });

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

describe('handsAnnotationsOn', () => {
  it.each(['3.4.4', '4.3.1', '4.5.10', '4.6.0-dev', '4.6.0-rc1', '', 'unknown', '5', 'v5.0.0'])(
    'is taken to be so of %j',
    (version) => expect(handsAnnotationsOn(version)).toBe(true),
  );

  it.each(['4.6.0', '4.6.2-rhel', '4.10.0', '5.0.0-dev', '5.4.2', '10.1.0'])(
    'is not so of %j',
    (version) => expect(handsAnnotationsOn(version)).toBe(false),
  );
});

describe('checkAnnotations', () => {
  it('costs one request for each container without orders, and remembers nothing', async () => {
    const podman = new FakePodman();
    podman.image = { 'org.opencontainers.image.title': 'x' };
    for (let round = 0; round < 3; round++) expect(await check(podman)).toBeUndefined();
    expect(podman.asked).toEqual(['container', 'container', 'container']);
    podman.image = { [FILTER]: '' };
    expect(await check(podman)).toMatchObject({ kind: 'command' });
    podman.image = {};
    expect(await check(podman)).toBeUndefined();
  });

  it('refuses an image with orders every time, and says what to do', async () => {
    const podman = new FakePodman();
    podman.image = { [FILTER]: 'BgAAAAAA/38=', 'run.oci.\u001b[31m': '' };
    for (let round = 0; round < 2; round++) {
      const problem = await check(podman);
      expect(problem).toMatchObject({ kind: 'command' });
      for (const words of [ID, JSON.stringify(FILTER), '\\u001b[31m', 'Build it again without'])
        expect(problem?.message).toContain(words);
    }
  });

  it('bounds what it quotes', async () => {
    const podman = new FakePodman();
    for (let i = 0; i < 500; i++) podman.image[`run.oci.${i}.${'x'.repeat(1_000)}`] = '';
    const problem = await check(podman);
    expect(problem?.message).toContain('and 495 more');
    expect(problem?.message.length).toBeLessThan(1_000);
  });

  it('leaves what the owner of the machine configured', async () => {
    const podman = new FakePodman();
    podman.machine = { 'run.oci.keep_original_groups': '1' };
    for (let round = 0; round < 2; round++) expect(await check(podman)).toBeUndefined();
    podman.image = { [FILTER]: '' };
    const problem = await check(podman);
    expect(problem?.message).toContain(FILTER);
    expect(problem?.message).not.toContain('keep_original_groups');
  });

  it("takes nothing for the owner's that an image may have brought and lost meanwhile", async () => {
    const podman = new FakePodman();
    podman.image = { [FILTER]: '' };
    const checked = check(podman);
    // The container was asked about; another manifest comes before the image is.
    podman.image = {};
    podman.arrivals += 2;
    expect(await checked).toMatchObject({ kind: 'runtime' });
    expect(podman.asked).toEqual(['container', 'image']);
  });
});
