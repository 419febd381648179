"""The grammar inside values: lists, calls, strings; generous where only one reading is possible."""

import re
from collections.abc import Callable, Collection, Mapping
from itertools import chain, product
from typing import TypeVar

import msgspec

from bcr.faults.plans import Failure, Trigger
from bcr.faults.vocabulary import (
    CLIENT_FAILURES,
    CLIENT_TRIGGERS,
    FAILURES,
    LIAR_FAILURES,
    LINK_ACTIONS,
    MESSAGES,
    OTHER_NAMES,
    SERVER_FAILURES,
    TRIGGERS,
    Word,
)
from bcr.scenario.diagnostics import QuoteProblem, ValueProblem, nearest
from bcr.scenario.values import MILLISECONDS_MOST

Warn = Callable[[str, int], None]
Tell = Callable[[ValueProblem], None]

T = TypeVar("T")

UNITS = {1: "whole milliseconds", 1_000: "seconds"}

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"[+-]?\d+")
_BARE = re.compile(r"[^\s,;()'\"]+")
_GROUP = re.compile(r"\{[^{}]*\}|slow\(\d+\)")
_ESCAPES = {"n": "\n", "t": "\t"}
_CALL_END = re.compile(r"\)\s*(?:;|$)")  # where a call ends that others or nothing follow


class Call(msgspec.Struct, frozen=True):
    """`name(argument, …)` as it stands in a value: what it says, where, and its text."""

    name: str
    arguments: tuple[str, ...]
    offsets: tuple[int, ...]
    offset: int
    text: str


class Cursor:
    """A place in a value, and the steps that the grammar is made of; `warn` is told what is odd, and where."""

    def __init__(self, text: str, warn: Warn) -> None:
        self.text = text
        self.place = 0
        self.warn = warn

    def skip_blanks(self) -> None:
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1

    def peek(self) -> str:
        self.skip_blanks()
        return self.text[self.place : self.place + 1]

    def take(self, character: str) -> bool:
        """Step over the character, if it is the next one that is not blank."""
        if self.peek() != character:
            return False
        self.place += 1
        return True

    def match(self, pattern: re.Pattern[str]) -> str | None:
        self.skip_blanks()
        match = pattern.match(self.text, self.place)
        if match is None:
            return None
        self.place = match.end()
        return match.group()

    def call(self) -> Call:
        """A name and, in parentheses, its arguments; a name alone is taken as one without arguments."""
        self.skip_blanks()
        start = self.place
        name = self.match(_WORD)
        if name is None:
            beginning = self.text[self.place : self.place + 10] or "the end"
            raise ValueProblem(f"expected a name, found {beginning!r}", self.place)
        arguments: list[str] = []
        offsets: list[int] = []
        if not self.take("("):
            self.warn(f"{name} without parentheses is read as {name}()", start)
        elif not self.take(")"):
            while True:
                self.skip_blanks()
                offsets.append(self.place)
                arguments.append(self.argument())
                if self.take(")"):
                    break
                if self.peek() == ":" and name == "slice":
                    self.warn("a colon between key and range is read as a comma", self.place)
                    self.take(":")
                elif not self.take(","):
                    raise ValueProblem(f"{name}(…: expected ',' or ')'", self.place)
        return Call(name, tuple(arguments), tuple(offsets), start, self.text[start : self.place])

    def argument(self) -> str:
        """A string in quotes, or a word without."""
        quote = self.peek()
        if quote in ("'", '"') and quote:
            return self._string(quote)
        bare = self.match(_GROUP) or self.match(_BARE)
        if bare is None:
            raise ValueProblem("expected a value", self.place)
        return bare

    def _string(self, quote: str) -> str:
        start = self.place
        self.place += 1
        characters: list[str] = []
        while self.place < len(self.text):
            character = self.text[self.place]
            if character == "\\" and self.place + 1 < len(self.text):
                following = self.text[self.place + 1]
                characters.append(_ESCAPES.get(following, following))
                self.place += 2
            elif character == quote:
                return self._closed_string("".join(characters), start)
            else:
                characters.append(character)
                self.place += 1
        content = self._closed_before_call_end(start)
        if content is None:
            raise QuoteProblem(f"the quote {quote} is not closed", start)
        return content

    def _closed_string(self, content: str, start: int) -> str:
        """The string that ends at this quote; what follows it tells whether it is not rather the next one's begin."""
        end = self.place
        self.place += 1
        if self.peek() in (",", ")", ":", ";", ""):
            return content
        head, comma, between = content.rpartition(",")
        if comma and not between.strip():
            # 'jedi,'luke' : the quote that ends the first string is missing, and this one begins the second.
            self.warn(f"a quote is missing behind {head!r}", start)
            self.place = self.text.rindex(",", start, end)
            return head.rstrip()
        shorter_content = self._closed_before_call_end(start)
        if shorter_content is None:
            raise QuoteProblem("neither ',' nor ')' follows the string that begins here: is a quote missing?", start)
        return shorter_content

    def _closed_before_call_end(self, start: int) -> str | None:
        """The string from the quote at `start` to where its call ends, if it may: the quote before that is missing.

        'luke skywalker); get('jedi') : the next call's quote is not the one that ends this string.
        """
        match = _CALL_END.search(self.text, start)
        content = self.text[start + 1 : match.start()].rstrip() if match else ""
        if match is None or self.text[start] in content or "\\" in content:
            return None
        self.warn(f"a quote is missing behind {content!r}", start)
        self.place = match.start()
        return content

    def at_end(self) -> bool:
        return self.peek() == ""


def whole_number(call: Call, index: int, least: int = 0, setting: str = "") -> int:
    """The whole number that an argument is; `setting` names the key of the file that says why it has a least."""
    text = call.arguments[index]
    if not _INTEGER.fullmatch(text) or len(text) > 18:
        raise ValueProblem(f"{call.name}: expected a whole number, found {text!r}", call.offsets[index])
    if int(text) < least:
        why = f", where this file begins to count: {setting} = {least}" if setting and least else ""
        raise ValueProblem(f"{call.name}: {text} is less than {least}{why}", call.offsets[index])
    return int(text)


def milliseconds_of(text: str, unit_ms: int) -> int | None:
    """The milliseconds that a number of the file's unit of time stands for; seconds may have up to three decimals."""
    if unit_ms == 1:
        return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else None
    seconds = re.fullmatch(r"([+-]?\d{1,15})(?:\.(\d{1,3}))?", text)
    return int(seconds[1] + (seconds[2] or "").ljust(3, "0")) if seconds else None


def unit_hint(text: str, unit_ms: int) -> str:
    """What would be right instead of a number that is none of the unit of time, behind a semicolon; or nothing."""
    if not re.fullmatch(r"[+-]?\d*\.\d+", text):
        return ""
    return "; if this file counts seconds, say time_unit = s" if unit_ms == 1 else "; seconds have three decimals at most"


def milliseconds(call: Call, index: int, unit_ms: int) -> int:
    text = call.arguments[index]
    value_ms = milliseconds_of(text, unit_ms)
    if value_ms is None:
        what = f"{call.name}: expected a number of {UNITS[unit_ms]}, found {text!r}{unit_hint(text, unit_ms)}"
        raise ValueProblem(what, call.offsets[index])
    if not 0 <= value_ms <= MILLISECONDS_MOST:
        raise ValueProblem(f"{call.name}: {text} is not from 0 to {MILLISECONDS_MOST:,} milliseconds", call.offsets[index])
    return value_ms


def demand_count(call: Call, count: int, form: str) -> None:
    if len(call.arguments) != count:
        raise ValueProblem(f"{call.name} takes {count} arguments, not {len(call.arguments)}: {form}", call.offset)


def items(text: str, item: Callable[[Cursor], T], what: str, warn: Warn, tell: Tell) -> list[T]:
    """The `;`-separated items of a value; `tell` gets the problem of each that makes no sense, and the rest is read."""
    cursor = Cursor(text, warn)
    values: list[T] = []
    while not cursor.at_end():
        if cursor.peek() == ";":
            warn("nothing stands before this ;", cursor.place)
            cursor.take(";")
            continue
        try:
            values.append(item(cursor))
            if not cursor.take(";") and not cursor.at_end():
                raise ValueProblem(f"expected ';' between {what}", cursor.place)
        except ValueProblem as problem:
            tell(problem)
            is_lost = isinstance(problem, QuoteProblem)
            cursor.place = 0 if is_lost else text.find(";", max(cursor.place, problem.offset)) + 1
            cursor.place = cursor.place or len(text)
    return values


def parse_strings(text: str, warn: Warn) -> tuple[str, ...]:
    """Strings separated by `;`; raises ValueProblem where there is something else."""
    problems: list[ValueProblem] = []
    strings = items(text, Cursor.argument, "strings", warn, problems.append)
    if problems:
        raise problems[0]
    return tuple(strings)


class Pair(msgspec.Struct, frozen=True):
    """A `trigger,failure` pair: what it says, the file's own text, and where it and its failure stand."""

    trigger: Trigger
    failure: Failure
    text: str
    offset: int
    failure_offset: int


class ParsingContext(msgspec.Struct, frozen=True):
    """What a file says about its own numbers: clients and replicas, where counters and indices start, the unit of time."""

    clients: int
    replicas: int
    counters_start_at: int
    unit_ms: int
    indices_start_at: int = 0
    triggers: Mapping[str, Word] = msgspec.field(default_factory=lambda: TRIGGERS)  # of replicas, in this file's protocol
    failures: Mapping[str, Word] = msgspec.field(default_factory=lambda: FAILURES)  # the same
    whose_trigger: Callable[[str], str] = lambda _: ""  # of which other protocol a word is a trigger, for a reason

    @property
    def clients_are(self) -> str:
        """Which clients there are, as the file counts them."""
        first = self.indices_start_at
        return f"clients are {first} to {self.clients - 1 + first}"

    @property
    def positions_are(self) -> str:
        """Which positions there are, as the file counts them."""
        first = self.indices_start_at
        return f"{first} to {self.replicas - 1 + first}"


class Vocabulary(msgspec.Struct, frozen=True):
    """Whose faults a value is about, and the words that there are for them."""

    whose: str
    triggers: Mapping[str, Word]
    failures: Mapping[str, Word]


OF_REPLICAS = Vocabulary("", TRIGGERS, {**FAILURES, **SERVER_FAILURES, **LIAR_FAILURES})
OF_CLIENTS = Vocabulary(" of a client", CLIENT_TRIGGERS, CLIENT_FAILURES)


def parse_pairs(text: str, words: Vocabulary, reading: ParsingContext, warn: Warn, tell: Tell) -> list[Pair]:
    """A `;`-separated set of `trigger,failure`."""
    pairs = items(text, lambda cursor: _pair(cursor, words, reading, tell), "pairs of trigger and failure", warn, tell)
    return [pair for pair in pairs if pair is not None]


def _pair(cursor: Cursor, words: Vocabulary, reading: ParsingContext, tell: Tell) -> Pair | None:
    trigger_call, failure_call, exact = _two_calls(cursor)
    trigger = None
    try:
        trigger = _trigger(trigger_call, words, reading, cursor.warn)
    except ValueProblem as problem:
        tell(problem)  # and go on: the failure may be wrong too
    failure = _failure(failure_call, words, reading, cursor.warn)
    if failure.name == "crash" and cursor.take(","):
        # crash(),restart(ms): one failure in two words.
        call = cursor.call()
        failure = _failure(call, words, reading, cursor.warn)
        if failure.name != "restart":
            raise ValueProblem(f"only restart(ms) may follow crash(), not {call.name}", call.offset)
        exact = cursor.text[trigger_call.offset : call.offset + len(call.text)]
    return None if trigger is None else Pair(trigger, failure, exact, trigger_call.offset, failure_call.offset)


def _two_calls(cursor: Cursor) -> tuple[Call, Call, str]:
    """A trigger, a comma and what it triggers, and the text of the whole."""
    first = cursor.call()
    if not cursor.take(","):
        raise ValueProblem(f"expected ',' and a failure behind the trigger {first.name}", cursor.place)
    second = cursor.call()
    return first, second, cursor.text[first.offset : second.offset + len(second.text)]


class LinkFault(msgspec.Struct, frozen=True):
    """What happens to the link from one position to another, or to all that leave it where `receiver` is None."""

    sender: int
    receiver: int | None
    trigger: Trigger
    fails: bool
    text: str


def parse_links(text: str, link: tuple[int, int] | None, reading: ParsingContext, warn: Warn, tell: Tell) -> list[LinkFault]:
    """A `;`-separated set of `trigger,fail()` and the like, for one link or, with None, for all of them."""
    groups = items(text, lambda cursor: _link_faults(cursor, link, reading), "pairs", warn, tell)
    return list(chain.from_iterable(groups))


def _link_faults(cursor: Cursor, link: tuple[int, int] | None, reading: ParsingContext) -> list[LinkFault]:
    trigger_call, action, exact = _two_calls(cursor)
    trigger = _trigger(trigger_call, OF_REPLICAS, reading, cursor.warn)
    action = known(action, LINK_ACTIONS, "fault of a link", cursor.warn)
    arguments = LINK_ACTIONS[action.name].arguments
    demand_count(action, len(arguments), "partition({0,1},{2})" if arguments else f"{action.name}()")
    if action.name == "partition":
        one, other = (_group(action, index, reading) for index in (0, 1))
        if one & other:
            both = [each + reading.indices_start_at for each in sorted(one & other)]
            raise ValueProblem(f"partition: replicas {both} are in both groups", action.offset)
        both_ways = [*product(sorted(one), sorted(other)), *product(sorted(other), sorted(one))]
        return [LinkFault(sender, receiver, trigger, True, exact) for sender, receiver in both_ways]
    if link is not None:
        return [LinkFault(*link, trigger, action.name == "fail", exact)]
    if action.name == "fail":
        raise ValueProblem("fail() needs the link: links[a,b] = trigger,fail()", action.offset)
    return [LinkFault(sender, None, trigger, False, exact) for sender in range(reading.replicas)]


def _group(call: Call, index: int, reading: ParsingContext) -> set[int]:
    first = reading.indices_start_at
    members = [part.strip() for part in call.arguments[index].strip("{}").split(",")]
    if not all(re.fullmatch(r"\d{1,9}", part) and first <= int(part) < first + reading.replicas for part in members):
        what = f"expected replicas from {reading.positions_are} such as {{{first},{first + 1}}}"
        raise ValueProblem(f"{call.name}: {what}, found {call.arguments[index]!r}", call.offsets[index])
    return {int(part) - first for part in members}


def known(call: Call, words: Collection[str], what: str, warn: Warn) -> Call:
    """The call, its name one of `words`, which capitals do not hide; raises ValueProblem where it is none."""
    name = call.name.lower()
    if name not in words:
        raise ValueProblem(f"no {what} {call.name}; {nearest(call.name, words)}", call.offset)
    if name != call.name:
        warn(f"{call.name} is read as {name}", call.offset)
    return msgspec.structs.replace(call, name=name)


def _form(name: str, word: Word) -> str:
    letters = {"client": "c", "count": "m", "number": "n", "milliseconds": "ms", "position": "i", "message": "kind"}
    return f"{name}({','.join(letters[kind] for kind in word.arguments)})"


def _trigger(call: Call, words: Vocabulary, reading: ParsingContext, warn: Warn) -> Trigger:
    triggers = reading.triggers if words is OF_REPLICAS else words.triggers
    if call.name.lower() not in triggers and words is OF_REPLICAS and (whose := reading.whose_trigger(call.name.lower())):
        raise ValueProblem(f"no trigger {call.name}{whose}", call.offset)
    call = known(call, triggers, f"trigger{words.whose}", warn)
    word = triggers[call.name]
    if len(call.arguments) == 2 and word.arguments == ("count",) and call.arguments[0].strip() == "-1":
        call = Call(call.name, call.arguments[1:], call.offsets[1:], call.offset, call.text)  # a client of -1: none
    demand_count(call, len(word.arguments), _form(call.name, word))
    client = None
    if word.arguments[0] == "client":
        client = whole_number(call, 0, reading.indices_start_at, "indices_start_at") - reading.indices_start_at
        if client >= reading.clients:
            text = f"{call.name}: no client {call.arguments[0]}, {reading.clients_are}; this never strikes"
            warn(text, call.offsets[0])
    last = len(call.arguments) - 1
    if word.arguments[-1] == "milliseconds":
        return Trigger(call.name, client, milliseconds(call, last, reading.unit_ms))
    first = 0 if call.name == "reconfiguration" else reading.counters_start_at  # configurations have numbers, and are not counted
    return Trigger(call.name, client, whole_number(call, last, first, "counters_start_at") - first)


def _failure(call: Call, words: Vocabulary, reading: ParsingContext, warn: Warn) -> Failure:
    failures = reading.failures if words is OF_REPLICAS else words.failures
    call = known(call, failures, f"failure{words.whose}", warn)
    word = failures[call.name]
    if not call.arguments and word.arguments == ("number",):
        warn(f"{call.name}() is read as {call.name}(1)", call.offset)
        return Failure(call.name, 1)
    demand_count(call, len(word.arguments), _form(call.name, word))
    if not word.arguments:
        return Failure(call.name)
    [kind] = word.arguments
    if kind == "message":
        return Failure(call.name, _message(call))
    value = milliseconds(call, 0, reading.unit_ms) if kind == "milliseconds" else whole_number(call, 0)
    if kind == "position":
        value -= reading.indices_start_at
        if not 0 <= value < reading.replicas:
            what = f"no replica {call.arguments[0]}, positions are {reading.positions_are}"
            raise ValueProblem(f"{call.name}: {what}", call.offsets[0])
    return Failure(call.name, value)


def _message(call: Call) -> str:
    kind = call.arguments[0].strip().lower()
    kind = OTHER_NAMES.get(kind, kind)
    if kind not in MESSAGES:
        raise ValueProblem(f"{call.name}: no message {call.arguments[0]!r}; {nearest(kind, MESSAGES)}", call.offsets[0])
    return kind
