"""`PYTHONPATH=host:tests .venv/bin/python -m attacks`: put the table of all attacks into docs/security.md."""

from attacks import page

before, _, behind = page.split(page.PAGE.read_text())
page.PAGE.write_text(before + page.table() + behind)
