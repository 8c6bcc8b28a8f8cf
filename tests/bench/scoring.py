"""The command ``predict`` on a file: on torch, on ONNX Runtime, and with an export of int8.

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
TORCH = f"from lstmcli.inference import engines; engines.installed = lambda: False; {RUN}"


def figures(texts: Callable[[int], list[str]]) -> Figures:
    """Rates and ratios. texts: makes so many."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.txt").write_text("\n".join(texts(REVIEWS)), "utf-8")
        int8 = folder / "int8.onnx"
        agreement = export("english", folder / "float32.onnx")
        rounded = export("english", int8, int8=True)
        taken = {
            "torch": seconds(TORCH, folder),
            "torch_float": seconds(TORCH, folder, "--precision", "float32"),
            "float": seconds(RUN, folder),
            "int8": seconds(RUN, folder, "-c", str(int8)),
        }
    found: Figures = {f"predict_{kind}_reviews_per_s": REVIEWS / whole for kind, (whole, _) in taken.items()}
    for kind in ("float", "int8"):
        found[f"predict_{kind}_vs_before"] = taken["torch"][0] / taken[kind][0]
        for other in ("torch", "torch_float"):  # seconds of the processor
            found[f"predict_{kind}_vs_{other}_cpu"] = taken[other][1] / taken[kind][1]
    return found | {
        "export_agreement": agreement.equal,
        "export_difference_millionths": agreement.largest * 1e6,
        "export_int8_agreement": rounded.equal,
        "export_int8_difference": rounded.largest,
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
