"""Scenario files: what a run is to do, which faults it is to have, and what it must show (specification, 9)."""

from bcr.faults.plans import ClientFaultPlan, Failure, FaultPlan, Trigger
from bcr.scenario.diagnostics import Diagnostic, ScenarioError
from bcr.scenario.expectations import Expectation
from bcr.scenario.reading import parse_scenario
from bcr.scenario.scenario_paths import read_scenario
from bcr.scenario.values import Scenario

__all__ = [
    "ClientFaultPlan",
    "Diagnostic",
    "Expectation",
    "Failure",
    "FaultPlan",
    "Scenario",
    "ScenarioError",
    "Trigger",
    "parse_scenario",
    "read_scenario",
]
