"""Rollouts where releases/ lies on a web server that counts nothing: each cohort looks at a channel of its own, and a stage is the
file of one more channel, the same bytes in all. Nobody reports, so a person says when the next one begins."""

from pathlib import Path

from otactl.errors import UsageError
from otactl.fleet.plan import Step, steps
from otactl.fleet.rollout_tables import Rollout
from otactl.release import channels
from otactl.workspace.workspace import Workspace


def plan(place: Workspace, cohorts: str | None, percents: str | None) -> list[Step]:
    """The channels of `cohorts`, and that of `place` at last. Raises UsageError."""
    if percents:
        raise UsageError("--percent: a web server gives all boards of a channel the same file; name channels with --to")
    found = [step for step in steps(cohorts, None) if step.cohort]
    if not found or place.channel in [step.cohort for step in found]:
        raise UsageError(f"--static: name the channels that come before {place.channel}, as --to canary,beta")
    return [*found, Step(cohort=place.channel)]


def begin(place: Workspace, found: Rollout, number: int, sealed: Path) -> None:
    """Let the channel of a stage name the release. Raises ReleaseError, UsageError, RigError."""
    channels.settle(place.on(found.plan[number].cohort), found.version, sealed)


def take_back(place: Workspace, found: Rollout) -> None:
    """Let the channels that name the release already name again what they named before, or what the last one does, under a new
    sequence, so that boards which have it go back. Raises ReleaseError, UsageError, RigError."""
    history = channels.history_of(place)
    for step in found.plan[: found.stage + 1]:
        newest = channels.current(place.on(step.cohort))
        if newest and newest["version"] == found.version:
            before = history.before(step.cohort, found.version) or found.before
            channels.promote(place, before, step.cohort)
