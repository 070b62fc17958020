"""The command line: runs the command, and turns every fault into a sentence and an exit code."""

import difflib
import os
import re
import sys
import traceback
from argparse import ArgumentError
from collections.abc import Mapping, Sequence

from maskel.commands import COMMANDS
from maskel.commands.command import KindsCommand
from maskel.console import say, standard_error
from maskel.errors import CutOffError, InputError, Stopped, TrainingError
from maskel.signals import interrupted
from maskel.text import shown
from maskel.version import __version__

OUT_OF_MEMORY = (
    "out of memory; take a smaller training.batch_size or a smaller model, or cut the batch with training.accumulate"
)

_LONGEST = 4000  # characters of a sentence: a name in it may have a million
_DIGITS = re.compile(r"\d{100,}")  # of one number; nobody reads them all


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 2 for wrong input, 1 for a run that failed, 130 when stopped.

    ``docs/errors.md`` lists the faults and their messages.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        standard_error().print("usage: maskel COMMAND [OPTIONS]; maskel COMMAND --help lists a command's options\n")
        for name, command in COMMANDS.items():
            standard_error().print(f"  {name:<12}{command.purpose}")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        say(__version__)
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        standard_error().print(f"maskel: no command is called {name!r}; {hint}", markup=False)
        return 2
    interrupted()  # of an earlier call
    try:
        refuse_half_set(os.environ)
        COMMANDS[name](name, arguments[1:])
        _leave_others(together=True)
        return 0
    except CutOffError as fault:
        return _complain(name, _sentence(fault, name), 1)
    except (InputError, ArgumentError) as fault:
        which = " ".join(arguments[:2]) if isinstance(COMMANDS[name], KindsCommand) else name
        return _complain(name, _sentence(fault, which), 2)
    except TrainingError as fault:
        return _complain(name, fault, 1)
    except Stopped as stop:
        return _complain(name, stop, 130)
    except OSError as fault:  # a full disk, a folder that may not be written
        return _complain(name, f"{fault.filename or 'a file'}: {fault.strerror or fault}", 1)
    except KeyboardInterrupt:
        return _complain(name, "stopped; nothing unfinished was kept", 130)
    except Exception as fault:  # noqa: BLE001 (the one place where all remaining errors become a sentence)
        if interrupted():  # while a module of others was imported, which made another error of it
            return _complain(name, "stopped; nothing unfinished was kept", 130)
        if _out_of_memory(fault):
            return _complain(name, OUT_OF_MEMORY, 1)
        traceback.print_exc()
        what = f"{type(fault).__name__} in maskel {__version__}"
        return _complain(
            name, f"{what}: a fault of the program, not of yours; please report it with the lines above", 1
        )
    finally:
        _leave_others(together=False)


def refuse_half_set(environment: Mapping[str, str]) -> None:
    """Refuse variables of torchrun that do not fit each other: a process would be silent, or wait for ever.

    Raises:
        InputError: If they do not; it names one.
    """
    number = {name: environment[name] for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK") if environment.get(name)}
    advice = "start several processes with torchrun, or unset it"
    for name, text in number.items():
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise InputError(f"the variable {name} is {text!r}, expected a whole number; {advice}")
    size, rank = int(number.get("WORLD_SIZE", "1")), int(number.get("RANK", "0"))
    if rank >= size:
        raise InputError(f"the variable RANK is {rank}, but WORLD_SIZE is {size}; {advice}")
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not environment.get(name)]
    if size > 1 and missing:
        raise InputError(f"the variable WORLD_SIZE is {size}, but {missing[0]} is not set; {advice}")


def _leave_others(together: bool) -> None:
    """Leave the other processes, if the command had any: only then the module is imported."""
    if distributed := sys.modules.get("maskel.distributed"):
        distributed.finish(together=together)


def _sentence(fault: Exception, command: str) -> str:
    """An error as one line, with where to look when it is about an option."""
    if not isinstance(fault, ArgumentError):
        return re.sub(r"\s+", " ", str(fault)).strip()
    from maskel.parsing import sentence_of  # it raised the fault, so it is there

    text = sentence_of(fault)
    return f"{text}{'' if text.endswith('?') else ';'} maskel {command} --help lists the options"


def _complain(command: str, sentence: object, code: int) -> int:
    """Print one line on stderr and return the exit code. Names may come from anyone: none can move the cursor."""
    text = _DIGITS.sub(lambda found: f"{found[0][:20]}… ({len(found[0]):,} digits)", shown(sentence))
    if len(text) > _LONGEST:  # the advice stands at the end
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    standard_error().print(f"maskel {command}: {text}", markup=False)
    return code


def _out_of_memory(fault: Exception) -> bool:
    """Return True if memory ran out on any device; for a CPU, PyTorch raises a plain RuntimeError."""
    return (
        isinstance(fault, MemoryError)
        or type(fault).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(fault)
    )
