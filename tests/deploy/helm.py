"""Renders a Helm chart without Helm: the part of Go's templates that our chart uses, and an error for any other.

Known: `.Values`, `.Release`, `.Chart`, `.Files.Get`, variables of `range`, `if`/`else`/`end`, `range $k, $v :=`,
`range $v :=`, `define`, `include`, `not`, `default`, `replace`, `quote`, `toYaml`, `indent`, `nindent`, and whitespace
trimming.
"""

import json
import re
from pathlib import Path

import yaml

_ACTION = re.compile(r"\{\{(-?)\s*(.*?)\s*(-?)\}\}", re.DOTALL)
_WORD = re.compile(r'"[^"]*"|\S+')


class Chart:
    """A chart, its values and a release."""

    def __init__(self, folder: Path, values: dict, release: dict):
        about = yaml.safe_load((folder / "Chart.yaml").read_text())
        self.folder = folder
        self.root = {
            "Values": values,
            "Release": release,
            "Chart": {name[0].upper() + name[1:]: value for name, value in about.items()},
        }
        self.defined = {}
        for file in sorted((folder / "templates").glob("_*")):
            self.render(file.read_text())

    def objects(self):
        """Every object of every template."""
        for file in sorted((self.folder / "templates").glob("*.yaml")):
            yield from filter(None, yaml.safe_load_all(self.render(file.read_text())))

    def render(self, text):
        tokens = self._tokens(text)
        out = self._block(tokens, {}, until=())
        assert next(tokens, None) is None
        return out

    def _tokens(self, text):
        at, trim = 0, False
        for action in _ACTION.finditer(text):
            said = text[at : action.start()]
            yield "text", (said.lstrip() if trim else said).rstrip() if action[1] else (said.lstrip() if trim else said)
            yield "action", action[2]
            at, trim = action.end(), bool(action[3])
        yield "text", text[at:].lstrip() if trim else text[at:]

    def _block(self, tokens, names, until):
        """Text up to one of `until`, which is left in `self.ended`."""
        out = []
        for kind, said in tokens:
            if kind == "text":
                out.append(said)
                continue
            word = said.split(maxsplit=1)[0]
            if word in until:
                self.ended = word
                return "".join(out)
            out.append(self._action(word, said, tokens, names))
        assert not until, f"no {until}"
        return "".join(out)

    def _action(self, word, said, tokens, names):
        rest = said[len(word) :].strip()
        match word:
            case "define":
                self.defined[json.loads(rest)] = list(self._until_end(tokens))
                return ""
            case "if":
                found = bool(self._pipe(rest, names))
                one, other = self._block(tokens, names, ("else", "end")), ""
                if self.ended == "else":
                    other = self._block(tokens, names, ("end",))
                return one if found else other
            case "range":
                variables, _, what = rest.partition(":=")
                variables = [name.strip() for name in variables.split(",")]
                body, out = list(self._until_end(tokens)), []
                over = self._pipe(what.strip(), names)
                for pair in sorted(over.items()) if isinstance(over, dict) else [(one,) for one in over]:
                    inner = {**names, **dict(zip(variables, pair, strict=True))}
                    out.append(self._block(iter(body), inner, until=()))
                return "".join(out)
        found = self._pipe(said, names)
        return str(found).lower() if isinstance(found, bool) else str(found)

    def _until_end(self, tokens):
        depth = 1
        for kind, said in tokens:
            if kind == "action":
                depth += said.split()[0] in ("if", "range", "define")
                depth -= said == "end"
                if not depth:
                    return
            yield kind, said
        raise AssertionError("no end")

    def _pipe(self, said, names):
        value = None
        for number, part in enumerate(said.split("|")):
            words = _WORD.findall(part.strip())
            value = self._call(words, names, [] if number == 0 else [value])
        return value

    def _call(self, words, names, piped):
        name, *given = words
        match name:
            case "include":
                assert given[1] == "."
                return self._block(iter(self.defined[json.loads(given[0])]), {}, until=())
            case ".Files.Get":
                return (self.folder / json.loads(given[0])).read_text()
        values = [self._value(word, names) for word in given] + piped
        match name:
            case "not":
                return not values[0]
            case "default":
                return values[1] or values[0]
            case "replace":
                old, new, text = values
                return text.replace(old, new)
            case "quote":
                return json.dumps(str(values[0]))
            case "toYaml":
                return yaml.safe_dump(values[0], allow_unicode=True).rstrip("\n")
            case "indent" | "nindent":
                lines = "\n".join(" " * values[0] + line for line in str(values[1]).split("\n"))
                return lines if name == "indent" else f"\n{lines}"
        assert not values, f"{name} is not known here"
        return self._value(name, names)

    def _value(self, word, names):
        if word.startswith('"') or word.isdigit():
            return json.loads(word)
        if word.startswith("$"):
            return names[word]
        assert re.fullmatch(r"(\.[A-Za-z]+)+", word), f"{word} is not known here"
        found = self.root
        for part in word[1:].split("."):
            found = found[part]  # a value that is not there is a mistake of ours
        return found
