"""`[tag(p) for p in patches(img)]` on a real picture: a PPM file is cut into patches, and each is tagged by a sub-task."""

import sys

import podmesh

SIDE = 32
NAMES = ("red", "green", "blue")


def read_ppm(path):
    """Width, height and the bytes of the pixels of a binary PPM."""
    with open(path, "rb") as file:
        magic, size, depth = (file.readline().split() for _ in range(3))
        if magic != [b"P6"] or depth != [b"255"]:
            raise ValueError("%s is no binary PPM with 255 levels" % path)
        width, height = map(int, size)
        return width, height, file.read(width * height * 3)


def patches(img):
    """Squares of the picture, row by row."""
    width, height, pixels = img
    for top in range(0, height, SIDE):
        for left in range(0, width, SIDE):
            rows = range(top, min(top + SIDE, height))
            end = min(left + SIDE, width)
            yield b"".join(pixels[(y * width + left) * 3:(y * width + end) * 3] for y in rows)


@podmesh.remote(needs={"cpus": 0.5, "memory": "64MiB"})
def tag(patch):
    """The colour that a patch has most of."""
    sums = [sum(patch[channel::3]) for channel in range(3)]
    return NAMES[sums.index(max(sums))]


if __name__ == "__main__":
    img = read_ppm(sys.argv[1])
    tags = [tag(p) for p in patches(img)]
    for done, task in enumerate(tags, 1):
        task.wait()
        podmesh.progress(done / len(tags), "%d of %d patches" % (done, len(tags)))
    print(" ".join(task.result() for task in tags))
