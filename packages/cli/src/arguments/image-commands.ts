import type { CommandShape } from './command-shape.ts';
import { ALLOW_ROOT } from './peer-commands.ts';

/** Images need no registry: they are built on a machine, and found on the peers. */
export const IMAGE: CommandShape = {
  name: 'image',
  summary: 'build an image on this machine, or list the images and tags of the mesh',
  operands: [
    { name: 'build|ls|tags', kind: 'image-action' },
    { name: 'DIR|NAME', kind: 'file', optional: true },
  ],
  options: {
    tag: {
      kind: 'text',
      short: 't',
      value: 'NAME',
      help: 'build: the name of the image (default: localhost/<name of DIR>:latest)',
    },
    file: {
      kind: 'text',
      short: 'f',
      value: 'PATH',
      help: 'build: the Containerfile (default: the one in DIR)',
    },
    'allow-root': ALLOW_ROOT,
  },
  details: [
    'image build DIR makes an image from the Containerfile in DIR with the Podman of this machine, and shows what',
    'the build says as it goes. A short NAME is one under localhost/.',
    'image ls lists the images that the peers tell of, with the peers that hold each; without a mesh those of',
    'this machine. Peers tell of at most 200 images, and of none without a name.',
    'image tags lists what was pushed to the mesh (podman push localhost:PORT/NAME:TAG), of one NAME, or with',
    'NAME:TAG what that tag has meant, newest first.',
    'A run that names an image by its tag keeps what the tag meant when it was published: moving the tag later',
    'changes later runs, not that one.',
  ],
  examples: [
    'podmesh image build tools/ --tag localhost/tools:2',
    'podmesh image ls --json',
    'podmesh image tags me/tool:1',
  ],
};
