"""Verbs for files: bounded reading of files from anyone, writing of whole files, and locks on folders."""

from maskel.files.locks import LOCK as LOCK
from maskel.files.locks import locked as locked
from maskel.files.reading import DAMAGE as DAMAGE
from maskel.files.reading import TooLargeError as TooLargeError
from maskel.files.reading import damaged_as as damaged_as
from maskel.files.reading import nested as nested
from maskel.files.reading import one_line as one_line
from maskel.files.reading import open_regular as open_regular
from maskel.files.reading import open_tensors as open_tensors
from maskel.files.reading import parse_json as parse_json
from maskel.files.reading import read_bounded as read_bounded
from maskel.files.reading import read_json as read_json
from maskel.files.reading import read_rows as read_rows
from maskel.files.reading import read_text as read_text
from maskel.files.reading import read_yaml as read_yaml
from maskel.files.writing import as_output as as_output
from maskel.files.writing import csv_text as csv_text
from maskel.files.writing import json_text as json_text
from maskel.files.writing import refuse_inside as refuse_inside
from maskel.files.writing import refuse_unwritable as refuse_unwritable
from maskel.files.writing import replacing as replacing
from maskel.files.writing import require_suffix as require_suffix
from maskel.files.writing import stream_of as stream_of
from maskel.files.writing import write_atomically as write_atomically
from maskel.files.writing import yaml_text as yaml_text
