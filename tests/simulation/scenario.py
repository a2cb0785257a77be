"""What happens in one history: drawn from its seed, a list of steps that can be told, left out and made simpler."""

import random
from collections.abc import Iterator

import msgspec

NAMES = ("a", "b/1", "b/2", "b/3", "c.nc", "d/e/f", "g")
# Paths after which a shard ends (their xxh3-64 is divisible by 16,384).
CUTS = ("cut/1014", "cut/7084", "cut/21797")
FOLDERS = ("m", "n", "o", "z")  # names that a folder, or a file, may get: none of those above, which may be files
SIZES = (0, 1, 40, 200, 900, 1500, 2600)  # up to 256 bytes is small here, the rest is downloaded in ranges
DAY = 86_400.0


class Step(msgspec.Struct, frozen=True):
    """One step: `kind`, `seed` of its own dice, and what goes wrong in it."""

    kind: str
    seed: int
    daemon: int = 0
    kill: int = 0  # the turn of the event loop before which its process is killed, 0: it is not
    pause: int = 0
    network: float = 0.0
    store: float = 0.0
    full: float = 0.0
    slow: float = 0.0
    listing: str = ""
    count: int = 1
    days: float = 0.0

    def sentence(self) -> str:
        """Return what happens, for a person."""
        text = SENTENCES[self.kind].format(step=self)
        if self.kind in WITH_PROCESS:
            troubles = [f"the listing is {self.listing}"] if self.listing else []
            troubles += [f"{self.network:.0%} of what is asked of upstream fails"] if self.network else []
            troubles += [f"{self.store:.0%} of what is asked of the store fails"] if self.store else []
            troubles += ["the store is full at times"] if self.full else []
            troubles += ["answers take half a minute at times"] if self.slow else []
            troubles += [f"killed before turn {self.kill}"] if self.kill else []
            troubles += [f"stopped (SIGSTOP) before turn {self.pause}, and continued later"] if self.pause else []
            text += f" (daemon {self.daemon})" if self.daemon else ""
            text += ": " + ", ".join(troubles) if troubles else ""
        return text


SENTENCES = {
    "add": "upstream adds {step.count} files",
    "change": "upstream changes {step.count} files",
    "remove": "upstream removes {step.count} files",
    "swap": "two files of upstream change places",
    "rename": "upstream gives a folder another name",
    "empty": "upstream loses all its files",
    "restore": "upstream has again what it had at first",
    "wait": "{step.days:g} days pass",
    "pass": "a pass",
    "living": "a pass, while upstream changes {step.count} files",
    "stop": "a pass that is asked to stop",
    "rollback": "a rollback",
    "undelete": "an undelete of {step.count} files",
    "approve": "the held deletions are approved",
    "lose": "the state folder is lost, and rebuilt from the store",
    "damage": "{step.count} stored files rot",
    "scrub": "all stored bytes are read again, and repaired",
    "verify": "the mirror is verified",
    "both": "a pass, while a second daemon tries to make one too",
}
WITH_PROCESS = {"pass", "living", "stop", "rollback", "undelete", "lose", "scrub", "verify", "both", "approve"}
WEIGHTS = {
    "add": 5, "change": 6, "remove": 4, "swap": 1, "rename": 3, "empty": 1, "restore": 1, "wait": 3, "pass": 12, "living": 5, "stop": 1,
    "rollback": 4, "undelete": 2, "approve": 2, "lose": 2, "damage": 2, "scrub": 2, "verify": 2, "both": 2,
}  # fmt: skip


# What leads somewhere only together.
PHRASES = (
    ("remove", "pass", "undelete"),
    ("remove", "pass", "rollback"),
    ("change", "pass", "rollback", "pass"),
    ("empty", "pass", "approve", "pass"),
    ("change", "pass", "change", "pass", "wait", "rollback"),
    ("rename", "pass", "rename", "pass"),
    ("rename", "pass", "rollback", "pass"),
    ("remove", "pass", "restore", "pass"),
    ("damage", "rename", "pass"),
    ("damage", "scrub"),
    ("damage", "verify", "change", "pass"),
)


class Scenario(msgspec.Struct, frozen=True):
    """One history: the store's kind, whether upstream publishes checksums, and the steps."""

    seed: int
    is_bucket: bool
    has_digests: bool
    versions: int
    steps: tuple[Step, ...]

    def story(self) -> str:
        """Return the history for a person."""
        where = "a bucket" if self.is_bucket else "a folder"
        digests = "publishes checksums" if self.has_digests else "publishes no checksums"
        head = f"seed {self.seed}: the store is {where}, upstream {digests}, {self.versions} earlier snapshots are kept"
        return "\n".join([head, *(f"  {number}. {step.sentence()}" for number, step in enumerate(self.steps, 1))])


def scenario_of(seed: int) -> Scenario:
    """Return the history of a seed."""
    chance = random.Random(f"scenario {seed}")
    head = Scenario(seed, chance.random() < 0.5, chance.random() < 0.6, chance.choice((0, 1, 2, 3)), ())
    first = [Step("add", chance.getrandbits(32), count=chance.randint(2, 10)), Step("pass", chance.getrandbits(32))]
    return msgspec.structs.replace(head, steps=(*first, *_steps(chance, chance.randint(4, 14))))


def _steps(chance: random.Random, count: int) -> Iterator[Step]:
    for kind in _kinds(chance, count):
        step = Step(kind, chance.getrandbits(32), count=chance.choice((1, 1, 2, 3)))
        if kind == "wait":
            step = msgspec.structs.replace(step, days=chance.choice((0.01, 1, 8, 31, 40)))
        elif kind in WITH_PROCESS:
            step = _troubled(chance, step)
        yield step


def _kinds(chance: random.Random, count: int) -> Iterator[str]:
    left = count
    while left > 0:
        phrase = chance.choice(PHRASES) if chance.random() < 0.3 else chance.choices([*WEIGHTS], [*WEIGHTS.values()])
        yield from phrase
        left -= len(phrase)


def _troubled(chance: random.Random, step: Step) -> Step:
    changes: dict[str, object] = {"daemon": int(chance.random() < 0.15)}
    if chance.random() < 0.5:
        changes["kill"] = int(chance.triangular(1, 500, 40))
    elif step.kind in ("pass", "living") and chance.random() < 0.15:
        changes["pause"] = int(chance.triangular(1, 500, 40))
    if chance.random() < 0.3:
        changes["network"] = chance.choice((0.02, 0.1, 0.5, 1.0))
    if chance.random() < 0.3:
        changes["store"] = chance.choice((0.005, 0.02, 0.1))
    if chance.random() < 0.1:
        changes["full"] = 0.05
    if chance.random() < 0.1:
        changes["slow"] = 0.05
    if step.kind in ("pass", "both") and chance.random() < 0.2:
        changes["listing"] = chance.choice(("empty", "short", "broken", "broken"))
    return msgspec.structs.replace(step, **changes)
