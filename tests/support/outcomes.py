"""Notes how each test ended, for the driver of make test-full."""

import json
from pathlib import Path


class Outcomes:
    """Writes each test's outcome and the reason of a skip to a JSON file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.found: dict = {}

    def _note(self, report) -> None:
        before = self.found.get(report.nodeid, {}).get('outcome')
        if report.failed or before is None or (before == 'passed' and report.skipped):
            reason = str(report.longrepr[-1]) if isinstance(report.longrepr, tuple) else ''
            self.found[report.nodeid] = dict(outcome=report.outcome, reason=reason)

    def pytest_runtest_logreport(self, report) -> None:
        self._note(report)

    def pytest_collectreport(self, report) -> None:
        if not report.passed:  # a module that skips itself, or cannot be imported
            self._note(report)

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.found))
