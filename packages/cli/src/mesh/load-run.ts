/** Runs are read as any other program reads them. */
export {
  type LoadedRun,
  type LoggedRun,
  loadRun,
  type RecordedRun,
  toHeader,
  toRecord,
} from '@podmesh/sdk';
