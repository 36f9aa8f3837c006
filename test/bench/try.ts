import { chain, independentTasks } from './control-plane.ts';

console.log(await independentTasks(Number(process.argv[2] ?? 10_000)));
console.log(await chain(Number(process.argv[3] ?? 1_000)));
