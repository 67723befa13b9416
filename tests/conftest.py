"""Makes the harness modules beside the tests importable."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDERS = ("acceptance", "apply", "docs", "engines", "line", "properties", "scenarios", "simulation", "spec", "supply")
for folder in (HERE, *(HERE / name for name in FOLDERS)):
    sys.path.insert(0, str(folder))
