"""The one error that is shown to a user: which input, what is wrong with it, what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used.

    Args:
        subject: the input, as the user named it (a path, an option with its value).
        problem: what is wrong with it.
        remedy: what to do about it.

    The message is one line: ``subject: problem. remedy.``
    """

    def __init__(self, subject: object, problem: str, remedy: str) -> None:
        self.subject, self.problem, self.remedy = str(subject), problem.rstrip("."), remedy.rstrip(".")
        super().__init__(f"{self.subject}: {self.problem}. {self.remedy}.".replace("\n", " "))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        # An exception is pickled by its message alone otherwise; worker processes send theirs this way.
        return type(self), (self.subject, self.problem, self.remedy)
