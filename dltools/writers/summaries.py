"""Records as TensorBoard's protocol buffers, serialized."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from dltools.writers.events import proto
from dltools.writers.png import ImageFormat, encode_image, image_size
from dltools.writers.records import Hist, Image, Params, Record, Scalars, Setting, Text, to_float

FILE_VERSION = "brain.Event:2"


def version_event(time: float) -> bytes:
    """The first event of every file."""
    return _event(time, file_version=FILE_VERSION)


def start_event(time: float) -> bytes:
    """What makes a running TensorBoard forget all that it has read from this run."""
    SessionLog = proto("event").SessionLog
    return _event(time, session_log=SessionLog(status=SessionLog.START))


def events_of(record: Record, images: ImageFormat, data: bytes | None = None) -> Iterator[bytes]:
    """The events of a record; ``data`` is the file of a picture that has no pixels."""
    Summary = proto("summary").Summary
    if isinstance(record, Scalars):
        value = Summary.Value
        values = [value(tag=tag, simple_value=to_float(number)) for tag, number in record.values.items()]
        yield _event(record.time, step=record.step, summary=Summary(value=values))
    elif isinstance(record, Image):
        if record.pixels is not None:
            data = encode_image(record.pixels, images)
        if data is not None:
            height, width, channels = image_size(data)
            image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=data)
            values = [Summary.Value(tag=record.name, image=image)]
            if record.caption:
                values.append(_text(f"{record.name}/caption", record.caption))
            yield _event(record.time, step=record.step, summary=Summary(value=values))
    elif isinstance(record, Hist):
        yield _event(record.time, step=record.step, summary=Summary(value=[_histogram(record)]))
    elif isinstance(record, Text):
        yield _event(record.time, step=record.step, summary=Summary(value=[_text(record.name, record.text)]))
    elif isinstance(record, Params):
        yield from hparams_events(record)


def hparams_events(record: Params) -> Iterator[bytes]:
    """What the HParams tab needs, in the run's own file: the experiment and the start of its one session."""
    api, plugin = _hparams_protos()
    infos = [api.HParamInfo(name=name) for name in record.params]
    metrics = [api.MetricInfo(name=api.MetricName(tag=name)) for name in record.metrics]
    experiment = api.Experiment(hparam_infos=infos, metric_infos=metrics)
    start = plugin.SessionStartInfo(start_time_secs=record.time)
    for name, setting in record.params.items():
        _set(start.hparams[name], setting)
    yield _hparams_event(record.time, experiment=experiment)
    yield _hparams_event(record.time, session_start_info=start)


def end_event(time: float, status: str) -> bytes:
    """The end of the session that :func:`hparams_events` started."""
    api, plugin = _hparams_protos()
    ending = api.STATUS_SUCCESS if status == "ok" else api.STATUS_FAILURE
    return _hparams_event(time, session_end_info=plugin.SessionEndInfo(status=ending, end_time_secs=time))


def _hparams_protos() -> tuple[Any, Any]:
    home = "tensorboard.plugins.hparams"
    return importlib.import_module(f"{home}.api_pb2"), importlib.import_module(f"{home}.plugin_data_pb2")


def _hparams_event(time: float, **what: Any) -> bytes:
    """The plugin keeps its data in the metadata of an empty tensor, whose tag tells what it is."""
    content = _hparams_protos()[1].HParamsPluginData(version=0, **what).SerializeToString()
    summary = proto("summary").Summary
    (field,) = what
    value = summary.Value(tag=f"_hparams_/{field}", metadata=_metadata("hparams", content), tensor=_empty_tensor())
    return _event(time, summary=summary(value=[value]))


def _event(time: float, **what: Any) -> bytes:
    Event = proto("event").Event
    data: bytes = Event(wall_time=time, **what).SerializeToString()
    return data


def _histogram(record: Hist) -> Any:
    HistogramProto = proto("summary").HistogramProto
    Summary = proto("summary").Summary
    histogram = HistogramProto(
        min=record.min,
        max=record.max,
        num=sum(record.counts),
        sum=record.sum,
        sum_squares=record.sum_sq,
        bucket_limit=record.edges,
        bucket=(0, *record.counts),  # a bucket reaches from the limit before its own
    )
    return Summary.Value(tag=record.name, histo=histogram)


def _text(tag: str, text: str) -> Any:
    Summary = proto("summary").Summary
    TensorProto = proto("tensor").TensorProto
    TensorShapeProto = proto("tensor_shape").TensorShapeProto
    DT_STRING = proto("types").DT_STRING
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=shape)
    return Summary.Value(tag=tag, metadata=_metadata("text", b""), tensor=tensor)


def _metadata(plugin: str, content: bytes) -> Any:
    SummaryMetadata = proto("summary").SummaryMetadata
    return SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=content))


def _empty_tensor() -> Any:
    TensorProto = proto("tensor").TensorProto
    TensorShapeProto = proto("tensor_shape").TensorShapeProto
    DT_FLOAT = proto("types").DT_FLOAT
    return TensorProto(dtype=DT_FLOAT, tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=0)]))


def _set(target: Any, setting: Setting) -> None:
    if isinstance(setting, (int, float)):
        target.number_value = to_float(setting)
    else:
        target.string_value = str(setting)
