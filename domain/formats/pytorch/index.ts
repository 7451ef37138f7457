/** Pure. The door of the room of torch archives. */
export { isZip, readTorch } from './read.ts';
export { writeTorch } from './write.ts';
