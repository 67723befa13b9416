"""Makes the harness modules beside the tests importable."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, *(HERE / name for name in ("acceptance", "docs", "properties", "simulation", "spec"))):
    sys.path.insert(0, str(folder))
