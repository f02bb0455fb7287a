"""Audits of the pipeline itself: whom does each step take more from, and is that certain?"""

from curate.audits.gate import Audit, AuditConfig, Gate, audit, check_gate
from curate.audits.impact import impact

__all__ = ["Audit", "AuditConfig", "Gate", "audit", "check_gate", "impact"]
