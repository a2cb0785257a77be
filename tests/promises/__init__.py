"""What syncd promises, which tests hold each promise, and whether they would notice if it were broken.

* `statements` has the promises P1 to P10 and the 48 faults, in the words of a reader.
* A test names what it holds by marks: `@pytest.mark.promise("P4")`, `@pytest.mark.fault(10)`; `marks` reads them.
* `python -m tests.promises` writes docs/promises.md from both (`make docs`).
* `changes` has small changes to the program, each of which breaks a promise; `mutants` tries each in a copy of the tree
  and counts how many are killed, that is, noticed by a marked test (`make mutants`).
"""
