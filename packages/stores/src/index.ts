export { OutsideStores } from './outside-stores.ts';
