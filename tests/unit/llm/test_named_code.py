from __future__ import annotations

from typing import Any

import pytest

from harness.llm.named_code import arguments_naming_code


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"worker_cls": "auto"}, "worker_cls"),
        ({"worker_extension_cls": "mine.Worker"}, "worker_extension_cls"),
        ({"scheduler_cls": "mine.Scheduler"}, "scheduler_cls"),
        ({"logits_processors": ["mine.Processor"]}, "logits_processors"),
        ({"reasoning_parser_plugin": "/tmp/x.py"}, "reasoning_parser_plugin"),  # noqa: S108  -- nothing is opened
        ({"io_processor_plugin": "mine"}, "io_processor_plugin"),
        ({"model_class_overrides": {}}, "model_class_overrides"),
        ({"kv_transfer_config": {"kv_connector_module_path": "mine"}}, "kv_connector_module_path"),
        ({"distributed_executor_backend": "mine.Executor"}, "distributed_executor_backend"),
        ({"compilation_config": {"backend": "mine.compile"}}, "backend"),
        ({"compilation_config": {"inductor_passes": {"a": "mine.f"}}}, "inductor_passes"),
        ({"log_config_file": "x.json"}, "log_config_file"),
        ({"anything": ["os:system"]}, "anything"),
        ({"anything": {"deep": "mine.module:Class.method"}}, "deep"),
        ({"hf_overrides": {"trust_remote_code": True}}, "trust_remote_code"),
        ({"hf_overrides": {"text_config": {"auto_map": {"AutoModel": "m.M"}}}}, "auto_map"),
        ({"speculative_config": {"trust_remote_code": True}}, "trust_remote_code"),
    ],
)
def test_whatever_an_engine_would_import_is_found(arguments: dict[str, Any], named: str) -> None:
    assert list(arguments_naming_code({"gpu_memory_utilization": 0.5, **arguments})) == [named]


@pytest.mark.parametrize(
    "arguments",
    [
        {"quantization": "fp8", "tensor_parallel_size": 2, "enforce_eager": True, "attention_backend": "FLASH_ATTN"},
        {"distributed_executor_backend": "mp", "max_lora_cls_labels": 3},
        {"compilation_config": {"mode": 3, "splitting_ops": ["vllm::unified_attention"]}},
        {"hf_overrides": {"rope_scaling": {"factor": 2.0}, "trust_remote_code": False}},
        {"device_ids": ["cuda:0"], "download_dir": "C:/models", "ignore_patterns": ["original/**/*", "a.bin"]},
        {"otlp_traces_endpoint": "http://localhost:4317"},
        {"trust_remote_code": True},  # the user's own word for the model that is named, as for a subject
    ],
)
def test_what_only_chooses_is_not(arguments: dict[str, Any]) -> None:
    assert list(arguments_naming_code(arguments)) == []
