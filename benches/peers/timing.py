"""What the workers share."""

import json
import resource
import statistics
import time


def report(case, run, repeats):
    """Prints the median seconds after a first run, and the process's peak memory in GiB."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"case": case, "seconds": statistics.median(times), "peak": peak}))
