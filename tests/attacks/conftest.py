"""The board that is attacked, one for all rows of a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from otactl.workspace.workspace import Workspace

from attacks.bench import Bench, opened


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, place: Workspace, template: Path) -> Iterator[Bench]:
    with opened(tmp_path_factory.mktemp("attacks"), place, template) as made:
        yield made
