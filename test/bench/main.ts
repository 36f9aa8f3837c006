import { artifacts, sharing } from './artifacts.ts';
import { containers } from './containers.ts';
import { type ControlPlaneFigures, chain, independentTasks } from './control-plane.ts';
import { largeGraph } from './large-graph.ts';

/** `npm run bench [control|containers|large|artifacts|sharing]`: prints the tables of this folder's README. */
const only = process.argv[2];
const wanted = (part: string): boolean => only === undefined || only === part;
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const row = (...cells: readonly (string | number)[]): void => print(`| ${cells.join(' | ')} |`);
const short = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

if (wanted('control')) {
  row('control plane alone, every fact synced', 'tasks/s', 'ready → started p50 ms', 'p99 ms');
  row('---', '---:', '---:', '---:');
  const tell = (name: string, figures: ControlPlaneFigures): void =>
    row(name, short(figures.tasksPerSecond), short(figures.p50Ms), short(figures.p99Ms));
  tell('10,000 independent tasks', await independentTasks(10_000));
  tell('chain of 1,000', await chain(1_000));
  print('');
}
if (wanted('containers')) {
  const parallel = 4;
  const { podman, rawCrun, podmesh } = await containers(400, parallel);
  row('containers (`true`, no network), 4 at a time', 'per second', '/ podman run', '/ raw crun');
  row('---', '---:', '---:', '---:');
  const tell = (name: string, perSecond: number): void =>
    row(name, short(perSecond), short(perSecond / podman), short(perSecond / rawCrun));
  tell(`GNU parallel -j${parallel} podman run --rm`, podman);
  tell(`GNU parallel -j${parallel} crun run, Podman's recipe, prepared bundle`, rawCrun);
  tell('podmesh, lane `podman`', podmesh.podman.perSecond);
  tell('podmesh, lane `crun`', podmesh.crun.perSecond);
  print('');
  row('CPU of a no-op task, ms', 'daemon', 'its nats-server');
  row('---', '---:', '---:');
  for (const [lane, { fresh, warm }] of Object.entries(podmesh)) {
    row(`lane \`${lane}\`, first tasks`, short(fresh.daemonMs), short(fresh.natsMs));
    if (warm === undefined) continue;
    row(`lane \`${lane}\`, later ones`, short(warm.daemonMs), short(warm.natsMs));
  }
  print('');
}
if (wanted('large')) {
  const large = await largeGraph(100_000);
  row('100,000 jobs in one document', 'figure');
  row('---', '---:');
  row('document', `${short(large.documentMiB)} MiB`);
  row('published in', `${short(large.publishSeconds)} s`);
  row('all tasks done after', `${short(large.runSeconds)} s`);
  row('most memory of the driver', `${short(large.driverMiB)} MiB`);
}
if (wanted('artifacts')) {
  const { large, peakMiB } = await artifacts();
  row(
    '1 GiB over loopback, warm',
    'MiB/s',
    'podmesh / this',
    'CPU s of both sides',
    'podmesh / this',
  );
  row('---', '---:', '---:', '---:', '---:');
  for (const { name, mibPerS, throughputRatio, cpuSeconds, cpuRatio } of large) {
    row(name, short(mibPerS), short(throughputRatio), short(cpuSeconds), short(cpuRatio));
  }
  print(
    `\nMost memory: ${short(peakMiB.fetcher)} MiB fetching, ${short(peakMiB.source)} MiB serving.\n`,
  );
}
if (wanted('sharing')) {
  const shares = await sharing();
  row('256 MiB from one peer', 'to', 's', '/ to one', 'CPU s of all peers');
  row('---', '---:', '---:', '---:', '---:');
  let alone = Number.NaN;
  for (const { fetchers, uplinkMiB, seconds, cpuSeconds } of shares) {
    if (fetchers === 1) alone = seconds;
    const link = uplinkMiB === 0 ? 'no limit but the machine' : `uplinks of ${uplinkMiB} MiB/s`;
    row(link, fetchers, short(seconds), short(seconds / alone), short(cpuSeconds));
  }
}
process.exit(0);
