"""The words of GitKitchen as frozen values; each stage takes one and returns the next.

``Project -> Kitchen -> Recipe -> Plan -> Run results -> Outcome``. Counts are derived, never stored.
Nothing here reads a file, a clock or a database. All times are timezone-aware UTC; all durations
are seconds; all digests are lower-case hexadecimal sha256.
"""

from __future__ import annotations

from gitkitchen.model.data import Build, Catalog, Column, ColumnStats, FileEntry, Published, Version
from gitkitchen.model.kitchen import Kitchen, Setting, Subject
from gitkitchen.model.plan import Action, Definition, Plan, Step
from gitkitchen.model.project import (
    LEAST_RETENTION,
    AlertRule,
    Alerts,
    Approvals,
    Channel,
    Contract,
    Environment,
    Export,
    Freeze,
    Gate,
    GateCommand,
    PageSettings,
    Policy,
    Project,
    Soak,
    WaiverRules,
    Window,
)
from gitkitchen.model.recipe import (
    Expect,
    Materialize,
    NodeSpec,
    Phase,
    Recipe,
    Retry,
    Schedule,
    Severity,
    Template,
    TestSpec,
    Tolerance,
    Variation,
    Wait,
)
from gitkitchen.model.run import (
    GOOD_STATES,
    Event,
    Failure,
    NodeResult,
    Outcome,
    Publication,
    State,
    TestResult,
    TestState,
    Verdict,
    Waived,
)

FINGERPRINT_SCHEME = 1
"""The number of the fingerprint scheme; changing it is a stated mass rebuild (docs/identity.md)."""

__all__ = [
    "FINGERPRINT_SCHEME",
    "GOOD_STATES",
    "LEAST_RETENTION",
    "Action",
    "AlertRule",
    "Alerts",
    "Approvals",
    "Build",
    "Catalog",
    "Channel",
    "Column",
    "ColumnStats",
    "Contract",
    "Definition",
    "Environment",
    "Event",
    "Expect",
    "Export",
    "Failure",
    "FileEntry",
    "Freeze",
    "Gate",
    "GateCommand",
    "Kitchen",
    "Materialize",
    "NodeResult",
    "NodeSpec",
    "Outcome",
    "PageSettings",
    "Phase",
    "Plan",
    "Policy",
    "Project",
    "Publication",
    "Published",
    "Recipe",
    "Retry",
    "Schedule",
    "Setting",
    "Severity",
    "Soak",
    "State",
    "Step",
    "Subject",
    "Template",
    "TestResult",
    "TestSpec",
    "TestState",
    "Tolerance",
    "Variation",
    "Verdict",
    "Version",
    "Wait",
    "Waived",
    "WaiverRules",
    "Window",
]
