"""A search that stops early: tries many parameters at once and cancels the rest when one is good enough."""

import time

import podmesh

GOOD_ENOUGH = 0.9


@podmesh.remote(needs={"cpus": 0.25, "memory": "64MiB"})
def score(parameter):
    # The further from 3, the longer it takes and the worse it is.
    distance = abs(parameter - 3)
    time.sleep(600 if distance > 1 else distance)
    return 1 - distance / 10


def main():
    trials = {task.id: (parameter, task) for parameter, task in ((p, score(p)) for p in range(12))}
    best = None
    for task in podmesh.as_completed([task for _, task in trials.values()]):
        found = (task.result(), trials[task.id][0])
        best = max(best or found, found)
        podmesh.metrics(best=best[0])
        if best[0] >= GOOD_ENOUGH:
            break
    for _, task in trials.values():
        task.cancel()
    print("parameter %d scores %.2f" % (best[1], best[0]))


if __name__ == "__main__":
    main()
