"""Where a loop's numbers, pictures and texts go: a journal that loses nothing, backends that never stop training."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.writers.bar import progress as progress
    from dltools.writers.base import Delivery as Delivery
    from dltools.writers.base import RunInfo as RunInfo
    from dltools.writers.base import Writer as Writer
    from dltools.writers.base import WriterCfg as WriterCfg
    from dltools.writers.console import ConsoleWriter as ConsoleWriter
    from dltools.writers.console import ConsoleWriterCfg as ConsoleWriterCfg
    from dltools.writers.journal import read_journal as read_journal
    from dltools.writers.journal import series as series
    from dltools.writers.jsonl import JsonlWriter as JsonlWriter
    from dltools.writers.jsonl import JsonlWriterCfg as JsonlWriterCfg
    from dltools.writers.memory import MemoryWriter as MemoryWriter
    from dltools.writers.memory import MemoryWriterCfg as MemoryWriterCfg
    from dltools.writers.memory import NullWriter as NullWriter
    from dltools.writers.memory import NullWriterCfg as NullWriterCfg
    from dltools.writers.multi import MultiWriter as MultiWriter
    from dltools.writers.multi import MultiWriterCfg as MultiWriterCfg
    from dltools.writers.records import Artifact as Artifact
    from dltools.writers.records import Hist as Hist
    from dltools.writers.records import Image as Image
    from dltools.writers.records import Params as Params
    from dltools.writers.records import Record as Record
    from dltools.writers.records import Scalars as Scalars
    from dltools.writers.records import Text as Text
    from dltools.writers.sink import Sink as Sink
    from dltools.writers.tensorboard import TensorBoardWriter as TensorBoardWriter
    from dltools.writers.tensorboard import TensorBoardWriterCfg as TensorBoardWriterCfg
else:
    __getattr__, __dir__ = lazy(__name__)
