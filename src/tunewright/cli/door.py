"""The frame of every command: arguments in, one exit code out, and every failure as one clear line.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 waiting for review, 4 ended with no winner, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

from tunewright.cli.command import application
from tunewright.cli.output import GO_ON, print_error, quiet_libraries
from tunewright.cli.selection import fold_edits

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Runs one command and gives its exit code. ``SystemExit`` escapes where the reader of stdout has gone."""
    json = "--json" in arguments
    quiet_libraries()
    command = typer.main.get_command(application)
    try:
        code = command.main(
            args=fold_edits(list(arguments)) or ["--help"], prog_name="tunewright", standalone_mode=False
        )
    except typer.TyperException as error:
        return _wrong_use(error, json)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        return _failed(error, json)
    return code if isinstance(code, int) else 0


def _wrong_use(error: typer.TyperException, json: bool) -> int:
    """A usage error that typer found, in the house's one-line form."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tunewright"
    message = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
    print_error(message[:1].lower() + message[1:], f"see: {path} --help", json=json)
    return error.exit_code


def _failed(error: Exception, json: bool) -> int:
    from tunewright.domain.errors import TunewrightError

    notes = [note for note in getattr(error, "__notes__", []) if note.startswith(GO_ON)]
    if isinstance(error, TunewrightError):
        print_error(error.message, "\n".join(filter(None, [error.hint, *notes])), json=json)
        return error.exit_code

    from tunewright.cli.crash import keep

    line = (str(error).strip().splitlines() or [""])[0]
    print_error(
        f"something unexpected: {type(error).__name__}{': ' + line if line else ''}",
        "\n".join([f"this is a fault of tunewright, not yours; the details are in {keep(error)}", *notes]),
        json=json,
    )
    return 1
