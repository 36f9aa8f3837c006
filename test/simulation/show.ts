import { simulate } from './simulate.ts';

const s = await simulate({ seed: process.argv[2] ?? '1' });
console.log(s.violations, s.calls);
const t = s.trace;
const n = Number(process.argv[3] ?? 60);
console.log(
  t
    .filter((l) => !/announce|liveLog|peers\.(announce)/.test(l))
    .slice(-n)
    .join('\n'),
);
console.log(
  s.log
    .split('\n')
    .map((l) => l.slice(0, 260))
    .slice(-30)
    .join('\n'),
);
