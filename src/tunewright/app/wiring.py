"""Puts a study's crew together: sandbox, tracker, search, brain, and the graph of nodes that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.app import plans
from tunewright.app.meanwhile import Meanwhile, meanwhile
from tunewright.app.recorded import recorded_answers
from tunewright.app.shelf import keep_facts, write_report
from tunewright.app.traces import traces
from tunewright.domain import event as ev
from tunewright.domain.errors import ModelError, TrackingError
from tunewright.domain.proposal import Idea
from tunewright.domain.protocols import Brain, Scheduler, Strategy, Tracker
from tunewright.domain.study import Study
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.agents.forecasting import Forecaster
    from tunewright.agents.graph import Graph
    from tunewright.agents.launcher import Launcher
    from tunewright.agents.nodes.planner import FoundModel
    from tunewright.agents.notebook import Notebook, Stop
    from tunewright.agents.specification import Specifier
    from tunewright.agents.state import Node
    from tunewright.agents.traces.scribe import Scribe
    from tunewright.tracking.mlflow import MlflowTracker
    from tunewright.tracking.tracker import StudyTracker

PRELOAD = ("tunewright.tools.training.preload",)
"""What the process sandbox's fork server has imported before the first trial asks."""


@dataclass(frozen=True)
class Crew:
    """What a session works with."""

    graph: Graph
    launcher: Launcher
    specifier: Specifier


@contextmanager
def crew(notebook: Notebook, folder: Path, settings: Settings, stop: Stop, *, attended: bool = False) -> Iterator[Crew]:
    """The crew of one session. Leaving it ends every job and frees what the sandbox holds.

    Args:
        attended: whether somebody is there who can be asked.
    """
    from tunewright.agents.forecasting import Forecaster
    from tunewright.agents.graph import build
    from tunewright.agents.launcher import Launcher
    from tunewright.agents.routing import next_step
    from tunewright.sandbox.registry import open_sandbox

    options = notebook.study.options
    tracker = open_tracker(settings)
    tracker.open_soon()
    sandbox = open_sandbox(options.sandbox, options.sandbox_options, preload=PRELOAD)
    with traces(notebook, folder, tracker) as scribe, sandbox:
        if not notebook.study.finished:
            sandbox.prepare(options.threads or 1)
        # After the sandbox: opening the store, importing MLflow and warming the sandbox up go on side by side.
        if "study" not in notebook.study.runs:
            notebook.record(ev.Tracked(job="study", run_id=tracker.start_study(notebook.study, folder)))
        launcher = Launcher(notebook, sandbox, tracker, folder, stop, model=_known_model(notebook, settings))
        forecaster = Forecaster(launcher.model_folder, folder)
        facts = sandbox.facts()
        keep_facts(folder, facts)
        specifier = _specifier(forecaster, facts.get("image"))
        models = meanwhile(notebook, folder, settings, stop, _keeper(notebook, settings))
        launcher.meanwhile = models.beside.turn
        nodes = _nodes(notebook, folder, settings, stop, launcher, specifier, forecaster, tracker, models, scribe)
        nodes |= _clarification(notebook, settings, attended)
        graph = build(nodes, lambda: next_step(notebook.study, stop=stop.requested), folder / "graph.sqlite")
        try:
            yield Crew(graph, launcher, specifier)
            models.beside.finish()
        finally:
            models.beside.close()
            graph.close()


def open_tracker(settings: Settings) -> MlflowTracker:
    """The MLflow server named by the environment, or SQLite under the home."""
    from tunewright.tracking.mlflow import MlflowTracker

    return MlflowTracker(settings.mlflow_uri, settings.home, cache=settings.cache)


def find_model(ref: str, settings: Settings, say: Callable[[str], None]) -> FoundModel:
    """A model by directory, hub name or alias.

    Raises:
        ModelError: it cannot be found or fetched.
    """
    from tunewright.agents.nodes.planner import FoundModel
    from tunewright.tools.models.resolve import resolve

    found = resolve(ref, cache=settings.cache, notify=say)
    return FoundModel(found.path, found.identity)


def loadable(ref: str, folder: Callable[[], Path]) -> str:
    """What others load a model by: ``ref``, but for an alias, which only we know, the folder it stands for."""
    from tunewright.tools.models.aliases import aliases

    return str(folder()) if ref in aliases() else ref


def _known_model(notebook: Notebook, settings: Settings) -> Path | None:
    """The model of a study that is taken up again.

    Raises:
        ModelError: its files are not those the study began with.
    """
    known = notebook.study.model
    if known is None:
        return None
    found = find_model(known.ref, settings, notebook.say)
    if found.identity.digest != known.digest:
        raise ModelError(
            f"the files of model '{known.ref}' have changed since the study began",
            f"bring back the model with digest {known.digest[:12]}, or start a new study",
        )
    return found.path


def _specifier(forecast: Forecaster, image: str | None) -> Specifier:
    from tunewright.agents.specification import Specifier
    from tunewright.tools.training.registry import check_recipe
    from tunewright.tracking.identity import code_identity

    return Specifier(code=code_identity(), image=image, forecast=forecast, check=check_recipe)


def _nodes(
    notebook: Notebook,
    folder: Path,
    settings: Settings,
    stop: Stop,
    launcher: Launcher,
    specifier: Specifier,
    forecaster: Forecaster,
    tracker: StudyTracker,
    models: Meanwhile,
    scribe: Scribe,
) -> dict[str, Node]:
    from tunewright.agents import explaining, reading
    from tunewright.agents.advice.turns import planner_ideas
    from tunewright.agents.nodes import approval
    from tunewright.agents.nodes.evaluator import make_evaluator
    from tunewright.agents.nodes.finisher import make_finisher
    from tunewright.agents.nodes.planner import make_planner
    from tunewright.agents.nodes.proposer import make_proposer
    from tunewright.agents.nodes.reflection import make_reflection
    from tunewright.agents.nodes.trainer import make_trainer
    from tunewright.agents.pausing import pausing
    from tunewright.agents.reflection.experiments import next_experiment
    from tunewright.agents.reflection.panel import Panel
    from tunewright.agents.risk.desk import RiskDesk
    from tunewright.search.hopeless import Hopeless

    hopeless = Hopeless()
    brains, beside, scheduler, strategy = models.brains, models.beside, _schedulers(), _strategies(folder)

    def warn(message: str) -> None:
        notebook.record(ev.Warned(message=message))

    def ideas(study: Study) -> list[Idea]:
        return planner_ideas(study, experiment=next_experiment, drop=notebook.record, hopeless=hopeless)

    nodes = {
        "planner": make_planner(
            notebook,
            launcher,
            specifier,
            folder,
            stop,
            understand=lambda study: _understand(study, brains.of(reading.ROLE), warn),
            find_model=lambda ref: find_model(ref, settings, notebook.say),
            plan=lambda study: plans.plan_of(
                study,
                brains.of(reading.ROLE),
                folder=folder,
                settings=settings,
                price=forecaster,
                tracker=tracker,
                warn=warn,
            ),
            recall=lambda study: plans.recalled(study, settings),
        ),
        "plan_approval": approval.make_approval(notebook, approval.plan_target, approval.plan_needs_person),
        "proposer": make_proposer(
            notebook,
            specifier,
            strategy,
            ideas,
            scheduler,
            launcher.wait,
            _governor(),
            RiskDesk(notebook, strategy),
            beside.finish,
        ),
        "batch_approval": approval.make_approval(notebook, approval.batch_targets, approval.batch_needs_person),
        "trainer": make_trainer(notebook, launcher, specifier, folder, stop, scheduler, beside.finish),
        "evaluator": make_evaluator(
            notebook,
            folder,
            lambda study, verdict: explaining.explain(study, folder, verdict, brains.of(explaining.ROLE), warn),
        ),
        "reflection": make_reflection(
            notebook, Panel(folder, brains.of, warn).meet, _keeper(notebook, settings), beside.settle
        ),
        "finisher": make_finisher(
            notebook,
            launcher,
            specifier,
            folder,
            stop,
            lambda study: _publish(study, folder, launcher, tracker, scribe),
        ),
    }
    return {name: pausing(node, notebook, stop) for name, node in nodes.items()}


def _clarification(notebook: Notebook, settings: Settings, attended: bool) -> dict[str, Node]:
    from tunewright.agents.nodes.clarification import make_clarification

    asks = attended and notebook.study.options.review != "never"
    return {"clarification": make_clarification(notebook, asks, lambda study: recorded_answers(study, settings))}


def _keeper(notebook: Notebook, settings: Settings) -> Callable[[Study], None]:
    """Tells the memory of all studies what this one has learned; one that cannot be written stops nothing."""
    from tunewright.tracking.lessons import LessonBook

    book, told = LessonBook(settings.home), set[str]()

    def keep(study: Study) -> None:
        try:
            book.keep(study)
        except TrackingError as error:
            if error.message not in told:
                told.add(error.message)
                notebook.record(ev.Warned(message=error.message))

    return keep


def _strategies(folder: Path) -> Callable[[Study], Strategy]:
    """One strategy a session: it keeps Optuna's storage open between asks."""
    made: dict[str, Strategy] = {}

    def strategy(study: Study) -> Strategy:
        from tunewright.search.optuna import OptunaStrategy

        assert study.plan is not None
        if "one" not in made:
            path = folder / "optuna.journal"
            made["one"] = OptunaStrategy(path, sampler=study.plan.sampler, seed=study.plan.seed)
        return made["one"]

    return strategy


def _schedulers() -> Callable[[Study], Scheduler]:
    """One scheduler a session: what earlier trials measured is told to Optuna's pruner once."""
    made: dict[str, Scheduler] = {}

    def scheduler(study: Study) -> Scheduler:
        from tunewright.agents.risk.manager import RiskManager
        from tunewright.search.pruning import open_scheduler

        assert study.plan is not None
        name = study.plan.pruner
        if name not in made:
            made[name] = RiskManager(open_scheduler(name)) if study.options.stop_loss else open_scheduler(name)
        return made[name]

    return scheduler


def _governor() -> Callable[[Study], str]:
    """Says when a search should end early; one a session, as it keeps what it worked out of each recipe."""
    made: list[Callable[[Study], str]] = []

    def ends(study: Study) -> str:
        from tunewright.search.governor import Governor
        from tunewright.tools.evaluation.registry import best_value

        if not made:
            made.append(Governor(best=best_value).ends)
        return made[0](study)

    return ends


def _understand(study: Study, brain: Brain | None, warn: Callable[[str], None]) -> ev.Understood:
    from tunewright.agents.reading import read

    assert study.brief is not None
    return read(study.brief, brain, warn=warn, doubts=study.doubts)


def _publish(study: Study, folder: Path, launcher: Launcher, tracker: Tracker, scribe: Scribe) -> None:
    """The views of a finished study: what the tracker missed, the report, the registry."""
    for job in study.jobs.values():
        if job.ended:
            launcher.track_end(job.id)
    files = write_report(study, folder)
    scribe.finish()
    tracker.finish_study(study, files)
