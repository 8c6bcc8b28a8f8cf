"""The licences of what is installed with the program, extras of users included: ``python -m tests.licences``."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from tests.pythons import PROJECT

# As packages name them, in one of three ways. All allow use, change and redistribution of the program that imports
# them; MPL-2.0 asks for the source of changed files of the package itself.
KNOWN = {
    "0BSD": "0BSD",
    "3-Clause BSD License": "BSD",
    "Apache 2.0": "Apache-2.0",
    "Apache License v2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD": "BSD",
    "BSD License": "BSD",
    "BSD-2-Clause": "BSD",
    "BSD-3-Clause": "BSD",
    "BSL-1.0": "BSL-1.0",
    "CC0-1.0": "CC0-1.0",
    "ISC License (ISCL)": "ISC",
    "LLVM-exception": "LLVM-exception",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MPL-2.0": "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PDDL-1.0": "PDDL-1.0",
    "PSF-2.0": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Zlib": "Zlib",
}
MAKERS = ("dev", "teacher")  # extras of those who develop the program, and who make the models that ship


def installed(requirements: Iterable[str]) -> Iterator[Distribution]:
    """The packages and all that they need, each once, as far as they are installed on this system."""
    waiting, seen = list(requirements), set()
    while waiting:
        found = re.match(r"([\w.-]+)\s*(?:\[([^]]*)])?", waiting.pop())
        assert found is not None
        name = re.sub(r"[-_.]+", "-", found[1]).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            package = distribution(name)
        except PackageNotFoundError:  # of another system, or an extra that is not installed
            continue
        yield package
        extras = re.findall(r"[\w-]+", found[2] or "")
        for one in package.requires or []:
            extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", one)
            if extra is None or extra[1] in extras:
                waiting.append(one)


def licences(package: Distribution) -> set[str]:
    """What the package says of its licence: an SPDX expression, else classifiers, else a line of its own."""
    fields = package.metadata
    classifiers = [one for one in fields.get_all("Classifier") or [] if one.startswith("License :: ")]
    found = fields.get("License-Expression") or " AND ".join(one.rpartition(" :: ")[2] for one in classifiers)
    parts = re.split(r" AND | OR | WITH ", found or (fields.get("License") or "").partition("\n")[0])
    return {KNOWN.get(part.strip(), f"unknown: {part}") for part in parts}


def of_users() -> list[str]:
    """What the program needs, with the extras of its users."""
    extras = (more for name, more in PROJECT["optional-dependencies"].items() if name not in MAKERS)
    return [*PROJECT["dependencies"], *(one for more in extras for one in more)]


if __name__ == "__main__":
    table: dict[str, list[str]] = defaultdict(list)
    for package in installed(of_users()):
        table[", ".join(sorted(licences(package)))].append(package.name)
    for licence, names in sorted(table.items(), key=lambda row: -len(row[1])):
        print(f"{licence} ({len(names)}): {', '.join(sorted(names, key=str.lower))}")
