"""Tools for looking at a study: what agents call through function calling, and people from Python.

    from tunewright.agents import toolbox

    print(toolbox.call(study, folder, "error_slices", {"trial": "t3"}))
    brain.converse(role, prompt, schema, toolbox.for_study(study, folder))

A tool reads the study's journal and files and answers in bounded text. None runs code or a shell, none writes, and
none can reach the sealed test. What comes from data, logs or models is quoted as JSON strings. A tool is a file in
``tools/`` with an object ``TOOL``; see ``tool.StudyTool``.
"""

from __future__ import annotations

from tunewright.agents.toolbox.registry import call, for_study, names, tool

__all__ = ["call", "for_study", "names", "tool"]
