"""placeholder"""

from ops.bench.case import Bench, Case


def run(bench: Bench) -> None: ...


CASE = Case("restoring", "", "", "", run)
