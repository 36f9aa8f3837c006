/** The command line reaches a mesh as any other program does. */
export type { Client } from '@podmesh/sdk';
