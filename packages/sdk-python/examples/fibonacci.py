"""A task that spawns itself: each number is the sum of two sub-tasks, which wait for theirs."""

import os

import podmesh


@podmesh.remote(needs={"cpus": 1, "memory": "64MiB"}, spawn={"depth": 16})
def fibonacci(n):
    if n < 2:
        return n
    before, last = fibonacci(n - 2), fibonacci(n - 1)
    return before.result() + last.result()


if __name__ == "__main__":
    print(fibonacci(int(os.environ.get("N", "6"))).result())
