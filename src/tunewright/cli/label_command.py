"""The options of ``label``, as typer reads them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def label(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="Prompts with a column of two or more answers each, or prompts alone, which the model then answers.",
        ),
    ],
    *,
    pairs: Annotated[
        str, typer.Option(metavar="FILE", show_default=False, help="A .jsonl to write pairs into, or to go on with.")
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL", show_default=False, help="Says what answers are like, and answers where DATA does not."
        ),
    ],
    annotator: Annotated[
        str, typer.Option(metavar="WHO", help="human, reference[:SCORER], program:COMMAND or llm:MODEL.")
    ] = "human",
    budget: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Labels in all; by default every pair, or until you stop.")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Pairs chosen at a time.")] = 1,
    initial: Annotated[int, typer.Option(metavar="N", min=0, help="Pairs asked for at random at first.")] = 4,
    alpha: Annotated[
        float, typer.Option(metavar="X", min=0, max=1, help="Share of pairs that look for the best answer.")
    ] = 0.5,
    acquire: Annotated[Literal["thompson", "bald", "random"], typer.Option(help="How pairs are chosen.")] = "thompson",
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="Of choice and of drawn answers.")] = 0,
    question: Annotated[
        str, typer.Option(metavar="TEXT", help="What decides; shown to a person or a language model.")
    ] = "Which answer is better?",
    samples: Annotated[int, typer.Option(metavar="N", min=2, help="Answers drawn for a prompt.")] = 4,
    prompts: Annotated[int, typer.Option(metavar="N", min=1, help="Prompts that answers are drawn for.")] = 100,
    temperature: Annotated[float, typer.Option(metavar="X", min=0.01, help="Of drawn answers.")] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Longest drawn answer.")] = 64,
    template: Annotated[Literal["plain", "chat"], typer.Option(help="How a prompt is put to the model.")] = "plain",
    pooling: Annotated[
        Literal["mean", "last"], typer.Option(help="What of an answer its features are made of.")
    ] = "mean",
    dimensions: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many features.")] = 64,
    prompt_field: Annotated[
        str | None, typer.Option(metavar="COLUMN", show_default=False, help="The prompt's, if its name does not tell.")
    ] = None,
    answers_field: Annotated[
        str | None, typer.Option(metavar="COLUMN", show_default=False, help="That of the answers, likewise.")
    ] = None,
    target_field: Annotated[
        str | None, typer.Option(metavar="COLUMN", show_default=False, help="That of the reference, likewise.")
    ] = None,
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Leave unreadable rows out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout at the end.")] = False,
) -> int:
    """Label pairs of answers, those first that teach most about what is preferred.

    Every answer is kept at once; the same command goes on where it was left.
    """
    from tunewright.cli import labelling
    from tunewright.tools.preference.options import LabelOptions

    options = LabelOptions(
        budget=budget,
        batch=batch,
        initial=initial,
        alpha=alpha,
        acquire=acquire,
        seed=seed,
        question=question,
        samples=samples,
        prompts=prompts,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        template=template,
        pooling=pooling,
        dimensions=dimensions,
        prompt_field=prompt_field,
        answers_field=answers_field,
        target_field=target_field,
        skip_bad_rows=skip_bad_rows,
    )
    return labelling.label(data, pairs, model=model, annotator=annotator, options=options, json=json)
