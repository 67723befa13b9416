"""Engines that are elsewhere: the port over SQL that every one of them understands (specs/data.md, engines.*)."""
