"""The hall: the only package that knows the order of the stages.

Text becomes meaning (`project`), meaning meets own data (`sets`) and LINE (`accounts`), becomes intent
(`planning`), intent becomes effects (`applying`). Every function takes what `open_project` returned and
gives documents and diagnostics; nothing here prints. Heavy modules are imported where they are needed,
so that `check` never loads the data engine or HTTP.
"""

from audsql.session.applying import ApplyOptions, ApplyOutcome, apply, resolve, run_due
from audsql.session.overview import doctor, graph, status
from audsql.session.planning import PlanOutcome, plan
from audsql.session.project import Opened, check, check_text, open_project, run_tests
from audsql.session.sets import evaluate

__all__ = [
    "ApplyOptions",
    "ApplyOutcome",
    "Opened",
    "PlanOutcome",
    "apply",
    "check",
    "check_text",
    "doctor",
    "evaluate",
    "graph",
    "open_project",
    "plan",
    "resolve",
    "run_due",
    "run_tests",
    "status",
]
