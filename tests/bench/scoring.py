"""The command ``predict`` on a file: on torch, as it was before; on ONNX Runtime in float32; with an export of int8.

The whole command, reading and writing included, on the same rows in one run, with the model that ships. Torch computes
as ``--precision auto`` chooses: in bfloat16 on processors where that is fast. Seconds of the processor are of all
threads, and hardly depend on what else the machine does.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lstmcli import export

Figures = dict[str, float]
REVIEWS = 5_000
RUN = "from lstmcli.cli.app import main; import sys; main(sys.argv[1:])"
TORCH = f"from lstmcli.inference import engines; engines.find_spec = lambda _: None; {RUN}"


def figures(texts: Callable[[int], list[str]]) -> Figures:
    """Rates and ratios. texts: makes so many."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.txt").write_text("\n".join(texts(REVIEWS)), "utf-8")
        int8 = folder / "int8.onnx"
        agreement = export("english", folder / "float32.onnx")
        rounded = export("english", int8, int8=True)
        before = seconds(TORCH, folder)
        found = {"float": seconds(RUN, folder), "int8": seconds(RUN, folder, "-c", str(int8))}
    ratios = {f"predict_{kind}_vs_before": before[0] / taken[0] for kind, taken in found.items()}
    of_processor = {f"predict_{kind}_vs_before_cpu": before[1] / taken[1] for kind, taken in found.items()}
    rates = {f"predict_{kind}_reviews_per_s": REVIEWS / taken[0] for kind, taken in found.items()}
    return {
        "predict_torch_reviews_per_s": REVIEWS / before[0],
        **rates,
        **ratios,
        **of_processor,
        "export_agreement": agreement.equal,
        "export_largest_difference": agreement.largest,
        "export_int8_agreement": rounded.equal,
        "export_int8_largest_difference": rounded.largest,
    }


def seconds(code: str, folder: Path, *more: str) -> tuple[float, float]:
    """Seconds of the whole command, and of the processor."""
    command = [sys.executable, "-c", code, "predict", "-q", "--input", "in.txt", "--output", "out.jsonl", *more]
    begun, used = time.perf_counter(), _processor()
    subprocess.run(command, check=True, cwd=folder)
    return time.perf_counter() - begun, _processor() - used


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
