"""Install the peers, each in a virtual environment of its own under `.field/` of the checkout, by pip.

    python bench/field/install.py [NAME ...]

A peer that cannot be installed is noted with the reason, and is a row of the table that says so. FinancePy is under the
GPL: nothing here imports it; it runs as a separate program, and only where this script was asked to install it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".field"
ENVIRONMENTS = {
    # What a user has: without the packages of the tests, some of which pyarrow imports where it finds them.
    "gpu_var": [str(ROOT)],
    "numpy": ["numpy>=2.0", "scipy>=1.14"],
    "quantlib": ["QuantLib>=1.36"],
    "ore": ["open-source-risk-engine>=1.8.17"],
    "financepy": ["financepy>=1.1"],
    "vollib": ["vollib>=1.0.11"],
    # Of 2021; it reaches into py_vollib as that was then, and does not compile against its successor.
    "vollib_vectorized": [
        "py_vollib_vectorized==0.1.1",
        "py_vollib==1.0.1",
        "py_lets_be_rational==1.0.1",
        "setuptools<80",
    ],
}
"""What pip installs for each peer."""


def python(name: str) -> Path:
    """The interpreter of a peer's environment."""
    return CACHE / "environments" / name / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def state(name: str) -> str | None:
    """None where a peer is installed, else why not."""
    note = CACHE / "environments" / f"{name}.json"
    if not note.exists():
        return "not installed: python bench/field/install.py"
    reason: str | None = json.loads(note.read_text())["reason"]
    return reason


def install(name: str) -> str | None:
    """Make the environment anew; None, or the reason why not."""
    folder = CACHE / "environments" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    venv.create(folder, with_pip=True)
    command = [python(name), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *ENVIRONMENTS[name]]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    reason = None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = f"pip: {(errors or done.stderr.splitlines() or ['?'])[-1][:300]}"
    (CACHE / "environments" / f"{name}.json").write_text(json.dumps({"reason": reason}) + "\n")
    return reason


def main() -> int:
    """Install the peers asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ENVIRONMENTS)}; all unless given")
    names = parser.parse_args().names or list(ENVIRONMENTS)
    unknown = sorted(set(names) - set(ENVIRONMENTS))
    if unknown:
        parser.error(f"no peer is called {', '.join(unknown)}; there are {', '.join(ENVIRONMENTS)}")
    failed = 0
    for name in names:
        reason = install(name)
        print(f"{name}: {reason or 'installed'}", flush=True)
        failed += reason is not None
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
