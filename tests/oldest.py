"""Run the fast tests with the oldest versions that pyproject.toml admits: ``python -m tests.oldest``.

Torch has the version of constraints.txt, and tools and what the dependencies themselves need are the newest that fit.
"""

from tests.pythons import PROJECT, environment, interpreter, name_of

EXCEPT = ("teacher",)  # extras that no test needs


def requirements() -> list[str]:
    """What the program, its extras and its tests need, each by its lower bound."""
    extras = (more for name, more in PROJECT["optional-dependencies"].items() if name not in EXCEPT)
    declared = [*PROJECT["dependencies"], *(one for more in extras for one in more)]
    return [one if name_of(one) == "torch" else one.replace(">=", "==") for one in declared]


if __name__ == "__main__":
    version = PROJECT["requires-python"].removeprefix(">=")
    python = interpreter(version)
    if python is None:
        raise SystemExit(f"no python{version} is found")
    with environment(python, requirements()) as run:
        run("-m", "pip", "list")
        run("-m", "pytest", "-q", "-n", "2", "--dist", "loadfile")
