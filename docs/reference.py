"""Extension of the reference: the page of a command describes also the arguments that it shares with others."""

from typing import Any

from griffe import Extension, Function

from maskel.arguments import completed


class SharedArguments(Extension):
    """Completes the docstrings of commands, as ``help(maskel.linear)`` does."""

    def on_function(self, *, func: Function, **others: Any) -> None:
        """Complete one docstring."""
        if func.docstring and func.path.startswith("maskel.commands."):
            func.docstring.value = completed(func.docstring.value, [parameter.name for parameter in func.parameters])
