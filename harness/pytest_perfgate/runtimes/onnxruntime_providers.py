"""Execution providers of ONNX Runtime and the options that each takes."""

from __future__ import annotations

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

GRAPH_OPTION = {"cuda": "enable_cuda_graph", "tensorrt": "trt_cuda_graph_enable"}
"""What a provider calls the option that captures CUDA graphs."""

KNOWN: dict[str, frozenset[str]] = {
    "cpu": frozenset(),
    "cuda": frozenset(
        {
            "device_id",
            "gpu_mem_limit",
            "arena_extend_strategy",
            "cudnn_conv_algo_search",
            "do_copy_in_default_stream",
            "cudnn_conv_use_max_workspace",
            "cudnn_conv1d_pad_to_nc1d",
            "tunable_op_enable",
            "tunable_op_tuning_enable",
            "tunable_op_max_tuning_duration_ms",
            "enable_skip_layer_norm_strict_mode",
            "prefer_nhwc",
            "use_ep_level_unified_stream",
            "use_tf32",
            "fuse_conv_bias",
            "sdpa_kernel",
        }
    ),
    "tensorrt": frozenset(
        {
            "device_id",
            "trt_max_partition_iterations",
            "trt_min_subgraph_size",
            "trt_max_workspace_size",
            "trt_fp16_enable",
            "trt_bf16_enable",
            "trt_int8_enable",
            "trt_int8_calibration_table_name",
            "trt_int8_use_native_calibration_table",
            "trt_dla_enable",
            "trt_dla_core",
            "trt_engine_cache_enable",
            "trt_engine_cache_path",
            "trt_engine_cache_prefix",
            "trt_force_sequential_engine_build",
            "trt_context_memory_sharing_enable",
            "trt_layer_norm_fp32_fallback",
            "trt_timing_cache_enable",
            "trt_timing_cache_path",
            "trt_force_timing_cache",
            "trt_detailed_build_log",
            "trt_sparsity_enable",
            "trt_builder_optimization_level",
            "trt_auxiliary_streams",
            "trt_tactic_sources",
            "trt_profile_min_shapes",
            "trt_profile_opt_shapes",
            "trt_profile_max_shapes",
            "trt_engine_hw_compatible",
            "trt_op_types_to_exclude",
            "trt_preview_features",
        }
    ),
}
"""Provider options by their own names, but for those that this runtime sets by an option of its
own, and those that hand over a stream or a library."""
