"""Checks Triton's config.pbtxt, which can name Python files and shared libraries to load."""

import re

CONFIG = "config.pbtxt"
CONFIG_LIMIT = 2**20
"""Largest config.pbtxt that is accepted, in bytes."""

_DATA_BACKENDS = frozenset(
    {
        "onnxruntime",
        "onnxruntime_onnx",
        "openvino",
        "tensorflow",
        "tensorflow_savedmodel",
        "tensorrt",
        "tensorrt_plan",
    }
)
"""Backends and platforms that load no code from the model."""

_FIELDS = frozenset(
    """
    name platform backend max_batch_size input output data_type dims shape reshape label_filename format is_shape_tensor
    allow_ragged_batch optional is_non_linear_format_io batch_input batch_output kind target_name source_input
    instance_group count gpus passive host_policy rate_limiter resources global priority secondary_devices
    version_policy latest num_versions all specific versions
    dynamic_batching preferred_batch_size max_queue_delay_microseconds preserve_ordering priority_levels
    default_priority_level default_queue_policy priority_queue_policy timeout_action default_timeout_microseconds
    allow_timeout_override max_queue_size key value
    sequence_batching direct oldest control_input control int32_false_true fp32_false_true bool_false_true
    max_sequence_idle_microseconds max_candidate_sequences minimum_slot_utilization iterative_sequence
    state input_name output_name initial_state zero_data same_input_output_buffer use_growable_memory
    model_transaction_policy decoupled response_cache enable
    optimization graph level cuda graphs busy_wait_events graph_spec graph_lower_bound output_copy_stream
    input_pinned_memory output_pinned_memory gather_kernel_buffer_threshold eager_batching
    model_warmup batch_size inputs random_data
    true false
    """.split()  # noqa: SIM905 - one quoted name per line would fill pages
)
"""Field names that are accepted. All others are rejected: parameters, model_operations and default_model_filename,
for example, name files that are loaded as code."""

_TOKENS = re.compile(
    r"""
    (?P<blank>\s+|\#[^\n]*)
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<number>-?[0-9][0-9a-zA-Z_.+-]*)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>[{}\[\]<>:,;-])
    """,
    re.VERBOSE,
)
_ENUM_VALUE = re.compile(r"(TYPE|KIND|FORMAT|BATCH|CONTROL|PRIORITY|MODEL_PRIORITY)_[A-Z0-9_]+|REJECT|DELAY|NONE")


def refusal(config: str) -> str | None:
    """Say what of a config.pbtxt may run code; None if there is nothing."""
    place, field = 0, ""
    while place < len(config):
        token = _TOKENS.match(config, place)
        if token is None:
            return f"{config[place : place + 20]!r} is not understood"
        place = token.end()
        word = token["word"]
        if word is not None:
            if word not in _FIELDS and not _ENUM_VALUE.fullmatch(word):
                return f"the field {word[:100]!r} is not one that only describes data"
            field = word
        elif token["text"] is not None and field in ("backend", "platform"):
            value = token["text"][1:-1]
            if value not in _DATA_BACKENDS:
                return f"{field} {value[:100]!r} may load code from the model"
    return None
