"""Extension of the reference: the page of a command describes also the arguments that it shares with others."""

from typing import Any

from griffe import Class, Extension, Function

from maskel.arguments import OF_METHODS, completed


class SharedArguments(Extension):
    """Completes the docstrings of commands and methods, as ``help(maskel.linear)`` and ``help(maskel.MAMP)`` do."""

    def on_function(self, *, func: Function, **others: Any) -> None:
        """Complete one docstring."""
        if func.docstring and func.path.startswith("maskel.commands."):
            func.docstring.value = completed(func.docstring.value, [parameter.name for parameter in func.parameters])

    def on_class_members(self, *, cls: Class, **others: Any) -> None:
        """Complete the docstring of a method."""
        if cls.docstring and cls.path.startswith("maskel.methods."):
            names = [parameter.name for parameter in cls.parameters]
            cls.docstring.value = completed(cls.docstring.value, names, OF_METHODS)
