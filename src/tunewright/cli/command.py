"""The commands and their options, as typer reads them. What a command does is imported when it is called:
``tunewright --help`` has to answer at once.
"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tunewright import __version__
from tunewright.cli.label_command import label

application = typer.Typer(
    help="Tell it a task and a budget; it plans, reviews, runs and reproduces a fine-tuning study.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong use, 3 waiting for review, 4 ended with no winner, 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and ask nothing.")]
Study = Annotated[str, typer.Argument(metavar="STUDY", show_default=False, help="Its name.")]
AnyStudy = Annotated[
    str | None, typer.Argument(metavar="[STUDY]", show_default=False, help="Its name; by default the latest.")
]
_LLM = "Language model of every role, or of one: a litellm name, scripted:FILE, replay:STUDY, or none; repeatable."
Llm = Annotated[list[str] | None, typer.Option(metavar="[ROLE=]MODEL", show_default=False, help=_LLM)]
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", show_default=False, help="An MLflow run id.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tunewright {__version__}")
        raise typer.Exit()


@application.callback()
def tunewright(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@application.command()
def run(
    brief: Annotated[
        str,
        typer.Argument(
            metavar="BRIEF", show_default=False, help="The task and the budget in plain words, or a .md or .txt file."
        ),
    ],
    *,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the study; made up if not given.")] = None,
    review: Annotated[
        Literal["always", "batch", "first", "never"],
        typer.Option(help="What waits for a person: every run, every batch, the first batch, nothing."),
    ] = "batch",
    sandbox: Annotated[
        str, typer.Option(metavar="NAME", help="Where trials run: process, docker, ray, replay.")
    ] = "process",
    sandbox_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the sandbox; may be repeated.")
    ] = None,
    llm: Llm = None,
    sampler: Annotated[
        str, typer.Option(metavar="NAME", help="tree, model, or a sampler of Optuna's; see methods samplers.")
    ] = "tree",
    pruner: Annotated[
        str, typer.Option(metavar="NAME", help="promising, halving, median, hyperband or none.")
    ] = "promising",
    style: Annotated[
        Literal["auto", "explore", "balanced", "exploit"],
        typer.Option(help="How boldly; auto goes by what is left of the budget and how long nothing was gained."),
    ] = "auto",
    stop_loss: Annotated[
        bool, typer.Option("--stop-loss", help="Stop what is far behind the best at a rung, whatever the pruner says.")
    ] = False,
    sizing: Annotated[bool, typer.Option("--sizing", help="Fewer passes for new trials after losses.")] = False,
    cold: Annotated[bool, typer.Option("--cold", help="Begin from nothing, whatever earlier studies found.")] = False,
    no_early_end: Annotated[
        bool, typer.Option("--no-early-end", help="Spend all of the budget, also where nothing is left to gain.")
    ] = False,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="Of data split, search and training.")
    ] = 0,
    gpus: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs for a trial.")] = 0,
    slots: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=256, help="Trials side by side; by default one, or as many as the GPUs hold."
        ),
    ] = None,
    memory_gib: Annotated[float | None, typer.Option(metavar="X", min=0.01, help="Memory a trial may use.")] = None,
    usd_per_device_hour: Annotated[
        float | None, typer.Option(metavar="X", min=0, help="Price of a device hour; needed for a dollar budget.")
    ] = None,
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Leave unreadable rows out.")] = False,
    json: Json = False,
) -> int:
    """Start a study from a brief.

    Ctrl-C once pauses it with nothing lost; `tunewright resume` goes on.
    """
    from tunewright.cli import session

    options = session.options_of(
        review=review,
        sandbox=sandbox,
        sandbox_options=sandbox_option or [],
        llm=llm or [],
        sampler=sampler,
        pruner=pruner,
        style=style,
        stop_loss=stop_loss,
        sizing=sizing,
        cold=cold,
        early_end=not no_early_end,
        seed=seed,
        gpus=gpus,
        slots=slots,
        memory_gib=memory_gib,
        usd_per_device_hour=usd_per_device_hour,
        skip_bad_rows=skip_bad_rows,
    )
    return session.start(brief, study, options, json=json)


@application.command()
def resume(study: AnyStudy = None, llm: Llm = None, json: Json = False) -> int:
    """Go on with a study that was paused, killed or kept waiting."""
    from tunewright.cli import session

    return session.resume(study, llm=llm or [], json=json)


@application.command()
def review(
    study: Study,
    *,
    approve: Annotated[
        list[str] | None, typer.Option(metavar="WHAT", help="plan, all, numbers such as 1,2, or q1 as assumed.")
    ] = None,
    reject: Annotated[
        list[str] | None, typer.Option(metavar="WHAT", help="plan or numbers; owes a --reason; may be repeated.")
    ] = None,
    reason: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Why; the search is told.")] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option(metavar="N PATH=VALUE...", help="Change a run's recipe, such as 2 stages.0.optimisation.lr=1e-4."),
    ] = None,
    answer: Annotated[
        list[str] | None, typer.Option(metavar="QUESTION=TEXT", help="Answer a question, such as q1=...; repeatable.")
    ] = None,
    json: Json = False,
) -> int:
    """Answer what a study waits for, and go on with it. Without options it asks in the terminal."""
    from tunewright.cli import session

    return session.review(
        study,
        approve=approve or [],
        reject=reject or [],
        reasons=reason or [],
        edit=edit or [],
        answer=answer or [],
        json=json,
    )


@application.command()
def status(
    study: AnyStudy = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay and show it until it stops.")] = False,
    json: Json = False,
) -> int:
    """Show where a study stands, running or not."""
    from tunewright.cli import look

    return look.status(study, follow=follow, json=json)


@application.command()
def studies(json: Json = False) -> int:
    """List the studies."""
    from tunewright.cli import look

    return look.studies(json=json)


@application.command(short_help="Write a study's report: Markdown and one HTML page.")
def report(study: AnyStudy = None, json: Json = False) -> int:
    """Write a study's report as Markdown and as one self-contained HTML page."""
    from tunewright.cli import look

    return look.report(study, json=json)


@application.command()
def lessons(
    study: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="Only those that it learned.")
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make their file anew from the journals first.")] = False,
    json: Json = False,
) -> int:
    """List what all studies have learned, and how it has fared since."""
    from tunewright.cli import lessons as lessons_

    return lessons_.lessons(study, rebuild=rebuild, json=json)


@application.command(short_help="Train a run again and compare, bit by bit.")
def reproduce(run_id: RunId, json: Json = False) -> int:
    """Train a run again from its MLflow record alone, and say how alike the two are.

    The verdict is bit-identical, within-tolerance, or different from a named step on (exit code 1).
    """
    from tunewright.cli import result

    return result.reproduce(run_id, json=json)


@application.command(short_help="Write a run's adapter as a PEFT folder.")
def export(
    run_id: RunId,
    destination: Annotated[str, typer.Argument(metavar="DEST", show_default=False, help="A folder to make.")],
    json: Json = False,
) -> int:
    """Write a run's adapter as a PEFT folder with a model card."""
    from tunewright.cli import result

    return result.export(run_id, destination, json=json)


@application.command(short_help="Write a study's decisions as data to train on.")
def export_decisions(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY...", show_default=False, help="Their names.")],
    *,
    out: Annotated[str, typer.Option(metavar="DIR", show_default=False, help="A folder for the JSONL files.")],
    format: Annotated[
        Literal["sft", "dpo", "both"],
        typer.Option(help="Good decisions as prompt and completion, pairs of better and worse, or both."),
    ] = "both",
    json: Json = False,
) -> int:
    """Write the decisions of studies, with what came of them, as JSONL that `tunewright run` can train on."""
    from tunewright.cli import result

    return result.export_decisions(studies, out, form=format, json=json)


@application.command(short_help="Merge the adapters of several runs into one.")
def merge(
    run_ids: Annotated[
        list[str], typer.Argument(metavar="RUN_ID...", show_default=False, help="MLflow run ids, two or more.")
    ],
    *,
    out: Annotated[str, typer.Option(metavar="DEST", show_default=False, help="A folder to make.")],
    method: Annotated[
        str, typer.Option(metavar="NAME", help="mdm-oc, linear, cat, ties, dare_linear or dare_ties.")
    ] = "mdm-oc",
    weights: Annotated[
        str | None, typer.Option(metavar="W,W", help="One for each run, such as 0.7,0.3; or learned.")
    ] = None,
    scope: Annotated[
        Literal["global", "per_tensor"], typer.Option(help="Where mdm-oc makes the runs orthogonal.")
    ] = "global",
    density: Annotated[float, typer.Option(metavar="X", help="Share that ties and dare keep.")] = 0.5,
    unmerge: Annotated[
        str | None, typer.Option(metavar="RUN_ID", show_default=False, help="Take this run's part out again.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Take it out as if it had never been there.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Score it on the studies' validation rows.")] = False,
    json: Json = False,
) -> int:
    """Merge the adapters of several runs on one base model into one PEFT folder with a model card."""
    from tunewright.cli import merging

    return merging.merge(
        run_ids,
        out,
        method=method,
        weights=weights,
        scope=scope,
        density=density,
        unmerge=unmerge,
        exact=exact,
        measure=measure,
        json=json,
    )


application.command(short_help="Label pairs of answers, those first that teach most.")(label)


@application.command()
def methods(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            show_default=False,
            help="adapters, objectives, rewards, selectors, mixes, scorers, samplers, pruners, sandboxes or models; "
            "by default all.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """List what there is to choose from."""
    from tunewright.cli import machine

    return machine.methods(kind, json=json)


@application.command(short_help="Check what this machine offers.")
def doctor(json: Json = False) -> int:
    """Check what this machine offers, and say how to get what is missing."""
    from tunewright.cli import machine

    return machine.doctor(json=json)
