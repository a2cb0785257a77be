"""The house's own lint: rules that ruff, mypy and import-linter have no word for. `make lint` runs `python -m tests.lint`.

A finding is one line, `file:line: message`, and any finding fails. A rule is a function in a module of
`tests/lint/rules/` (one module for each family of rules; a new module there is found by itself):

    @rule(
        bites=[{"syncd/queue.py": "import sched\n"}],
        allows=[{"tests/unit/test_queue.py": "import sched\n"}],
    )
    def no_sched(tree: Tree) -> Iterator[Finding]:
        \"\"\"No module of the program imports `sched`.\"\"\"
        for file in tree.modules:
            for node in file.nodes(ast.Import):
                if any(alias.name == "sched" for alias in node.names):
                    yield file.finding(node.lineno, "imports sched; use syncd.daemon.schedule")

`bites` are small trees (path: text) with an offence in each; `allows` are small trees without one. `tests/unit/test_lint.py`
proves both for every rule, so a rule without an example of what it catches does not exist. The function's name is the
rule's name: `python -m tests.lint no_sched` runs it alone, `python -m tests.lint --list` shows all of them. A rule that the
tree does not keep yet says `enforced=False`: `python -m tests.lint --report` shows what it finds, and nothing fails.

`tree.modules` are the Python files of syncd, transports and manifests; `tree.tests` those below tests/; `tree.python` all
of them and those of deploy/; `tree.matching("docs/*.md")` any other files by pattern. A file's text, lines and syntax tree are
read once for all rules.
"""
